"""Cross-validation from its list of runs to its result: what is trained, what goes on, what is refused."""

import numpy as np
import pytest

import fmnist
from fmnist import pipeline
from fmnist.config import preset, restore
from fmnist.data.split import fold_indices, run_split
from fmnist.errors import InputError
from fmnist.evaluation.metrics import wilson_interval
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history
from fmnist.study import cross_validate, list_studies

QUICK = {"filters": (4, 8, 8), "epochs": 1, "batch_size": 32, "segment_steps": 4, "limit": 150}
CONFIG = preset("reference", **QUICK, folds=3)


class Killed(BaseException):
    """Ends the work as a kill does: no handler for errors sees it."""


def killed_at(questions):
    """Return a `should_stop` that kills at the n-th question."""
    left = iter(range(questions))

    def ask():
        if next(left, None) is None:
            raise Killed
        return False

    return ask


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_dataset):
    """The folder and the result of three folds."""
    folder = tmp_path_factory.mktemp("runs") / "three"
    return folder, cross_validate(CONFIG, tiny_dataset, folder)


def test_each_run_holds_its_fold_out(finished, tiny_dataset):
    folder, result = finished
    assert [row["run"] for row in result["rows"]] == ["fold0", "fold1", "fold2"]
    for fold, row in enumerate(result["rows"]):
        run = RunDirectory(folder / row["run"])
        config = read_json(run.config)
        assert restore(config) == CONFIG.with_overrides(fold=fold)
        found = run_split(config, tiny_dataset.train_labels)
        for mine, expected in zip(found, fold_indices(tiny_dataset.train_labels[:150], 3, fold, 0), strict=True):
            np.testing.assert_array_equal(mine, expected)
        images = tiny_dataset.train_images[found[1]]
        probabilities = fmnist.open_model(run).probabilities(images)
        correct = int((probabilities.argmax(axis=1) == tiny_dataset.train_labels[found[1]]).sum())
        assert (row["images"], row["correct"]) == (50, correct) and row["accuracy"] == pytest.approx(correct / 50)


def test_the_test_set_is_not_looked_at(finished):
    folder, _ = finished
    assert not list(folder.rglob("metrics.json")) and not list(folder.rglob("predictions.npz"))


def test_the_result_has_both_intervals(finished):
    folder, result = finished
    assert read_json(folder / "study.json") == result
    shares = [row["accuracy"] for row in result["rows"]]
    mean, half = np.mean(shares), 4.302653 * np.std(shares, ddof=1) / np.sqrt(3)  # Student's t, 2 degrees of freedom
    assert result["mean"]["accuracy"] == pytest.approx(mean)
    assert result["mean"]["interval"] == pytest.approx([mean - half, mean + half], rel=1e-5)
    correct = sum(row["correct"] for row in result["rows"])
    assert (result["pooled"]["correct"], result["pooled"]["images"]) == (correct, 150)
    assert result["pooled"]["interval"] == list(wilson_interval(correct, 150))
    (listed,) = list_studies(folder.parent)
    assert (listed["name"], listed["state"], listed["done"], listed["runs"]) == ("three", "finished", 3, 3)


def test_what_was_killed_goes_on_and_ends_in_the_same(finished, tiny_dataset, tmp_path):
    folder, result = finished
    with pytest.raises(Killed):
        cross_validate(CONFIG, tiny_dataset, tmp_path / "three", should_stop=killed_at(1))
    assert not (tmp_path / "three" / "fold2").exists()
    again = cross_validate(CONFIG, tiny_dataset, tmp_path / "three")
    for row, expected in zip(again["rows"], result["rows"], strict=True):
        assert row | {"seconds": 0} == expected | {"seconds": 0}
        first, second = (
            read_history(RunDirectory(place / row["run"]).history) for place in (folder, tmp_path / "three")
        )
        assert [one | {"seconds": 0} for one in first] == [one | {"seconds": 0} for one in second]


def test_one_fold_alone_is_a_run_with_a_report_and_without_test_scores(finished, tiny_dataset, tmp_path):
    run = fmnist.train(CONFIG.with_overrides(fold=1), tiny_dataset, tmp_path / "one")
    assert run.report.is_file() and not run.metrics.is_file()
    row = finished[1]["rows"][1]
    assert read_history(run.history)[-1]["val_accuracy"] == row["accuracy"]


def test_other_settings_are_refused(finished, tiny_dataset):
    folder, _ = finished
    with pytest.raises(InputError, match="shift was 0, is 1"):
        cross_validate(CONFIG.with_overrides(shift=1), tiny_dataset, folder)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fold": 0}, "fold: got 0, expected `folds` as well"),
        ({"folds": 3, "fold": 3}, "fold: got 3, expected 0 to 2"),
        ({"folds": 3, "early_stopping": 2}, "early_stopping: it would choose the epoch by the images that are held"),
    ],
)
def test_settings_that_do_not_go_together(settings, told):
    with pytest.raises(InputError, match=told):
        preset("reference", **settings)


def test_what_cannot_be_trained(tiny_dataset, tmp_path):
    with pytest.raises(InputError, match="folds: got 0, expected 2 or more"):
        cross_validate(preset("fast"), tiny_dataset, tmp_path / "none")
    with pytest.raises(InputError, match="`folds` stands for several runs; `fmnist.cross_validate` trains them"):
        pipeline.check(CONFIG, tiny_dataset)
    with pytest.raises(InputError, match="folds is 31; expected 2 to 30, the number of images"):
        cross_validate(CONFIG.with_overrides(folds=31, limit=30), tiny_dataset, tmp_path / "none")
