"""An audit from the command to the trained network: what was planted is found, decided and obeyed."""

import csv
import json

import numpy as np
import pytest
from support.pages import Page
from support.small_data import pattern_images, write_idx_folder

import fmnist
from fmnist import audit
from fmnist.audit import findings, folds
from fmnist.cli.audit_progress import FoldBar
from fmnist.data.decisions import read_decisions
from fmnist.errors import InputError, RunError
from fmnist.training.progress import Interrupted

FLIPPED = list(range(20, 40))
BLANK, COPY, SHIFTED, OUTLIER = 0, 1, 2, 3


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Drawn bars in ten classes: 20 of 600 labels are wrong; a blank image, two copies of test images, a stranger."""
    (images, labels), (tests, truth) = pattern_images(600, seed=1), pattern_images(200, seed=2)
    labels[FLIPPED] = (labels[FLIPPED] + 3) % 10
    images[BLANK], images[COPY], images[SHIFTED] = 9, tests[7], np.roll(tests[8], 1, axis=0)
    labels[[COPY, SHIFTED]] = truth[[7, 8]]
    images[OUTLIER] = 255 * np.indices((28, 28)).sum(axis=0) % 2 * 255
    folder = tmp_path_factory.mktemp("data") / "planted"
    return write_idx_folder(folder, (images, labels), (tests, truth))


class Trainings(FoldBar):
    """The command's bar, which counts the networks that are trained."""

    count = 0

    def start(self, progress, steps):
        super().start(progress, steps)
        self.count += 1


@pytest.fixture(scope="module")
def made(planted, tmp_path_factory):
    """The folder of an audit that was stopped in the second of two folds, and went on; and what it returned."""
    folder, dataset, watcher = tmp_path_factory.mktemp("audits"), fmnist.load_dataset(planted), Trainings()
    config, how = fmnist.preset("fast"), {"num_folds": 2, "watcher": watcher}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "FEWEST_STEPS", 90)
        with pytest.raises(Interrupted):
            audit.audit_dataset(config, dataset, folder, should_stop=lambda: watcher.count == 2, **how)
        assert (folder / "fold-1.npz").is_file() and not (folder / audit.PAGE).exists()
        told = audit.audit_dataset(config, dataset, folder, **how)
    watcher.close()
    assert watcher.count == 3  # the first fold was kept
    return folder, told


def rows(folder):
    with open(folder / audit.TABLE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def places(folder, kind, part="train"):
    return [int(row["index"]) for row in rows(folder) if (row["kind"], row["part"]) == (kind, part)]


def test_what_was_planted_is_found(made):
    folder, told = made
    assert told["found"]["label"]["train"] == len(places(folder, "label")) and told["agreement"] > 0.9
    assert len(set(FLIPPED) & set(places(folder, "label")[:25])) >= 16
    assert places(folder, "blank") == [BLANK]
    assert places(folder, "copy") == [COPY] and places(folder, "near-copy") == [SHIFTED]
    assert OUTLIER in places(folder, "outlier")
    copied = {row["kind"]: row["copy_of"] for row in rows(folder) if row["copy_of"]}
    assert copied == {"copy": "test 7", "near-copy": "test 8"}
    with np.load(folder / audit.PROBABILITIES) as known:
        assert known["train"].shape == (600, 10) and known["test"].shape == (200, 10)
        np.testing.assert_allclose(known["train"].sum(axis=1), 1, atol=1e-4)
    left = {path.name for path in folder.iterdir()} - {".lock"}
    assert left == {audit.AUDIT, audit.TABLE, audit.PAGE, audit.PROBABILITIES}


def test_the_page_stands_alone_and_shows_every_kind(made):
    page = Page(made[0] / audit.PAGE)
    sources = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert len(sources) > 25 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "form")]
    assert all(about.title in page.text for about in findings.KINDS.values())


def test_decisions_are_filled_in_and_obeyed(made, planted, run_cli, tmp_path):
    folder, _ = made
    command = ["audit", "--out", folder]
    code, out, _ = run_cli(*command, "--drop", "copy", "--drop", "blank", "--relabel", "label=10")
    assert code == 0 and "2 images more to drop" in out and "10 images more to relabel" in out
    dataset = fmnist.load_dataset(planted)
    found = read_decisions(folder / audit.TABLE, dataset)
    assert found.labels[COPY] is None and found.labels[BLANK] is None and found.facts["relabelled"] == 10
    right = [found.labels[index] == (dataset.train_labels[index] + 7) % 10 for index in {*found.labels} & {*FLIPPED}]
    assert sum(right) >= 8
    code, out, _ = run_cli(*command, "--json", "--drop", "label=12")
    assert code == 0 and json.loads(out)["decided"] == {"drop": 2, "relabel": 0}
    for wrong, complaint in (
        (("--drop", "labels"), "did you mean 'label'"),
        (("--drop", "label=many"), "expected a kind and how many"),
        (("--relabel", "copy"), "takes the kind label"),
        (("--data-dir", planted, "--preset", "reference"), "holds an audit of other data or with other settings"),
    ):
        code, _, err = run_cli(*command, *wrong)
        assert code == 2 and complaint in err
    train = ["train", "--preset", "fast", "--data-dir", planted, "--runs-dir", tmp_path, "--name", "a", "--train-only"]
    code, _, err = run_cli(*train, "--decisions", folder / audit.TABLE)
    assert code == 0, err
    facts = fmnist.read_json(tmp_path / "a" / "config.json")["decisions"]
    assert facts == read_decisions(folder / audit.TABLE, dataset).facts


def test_what_is_too_small_is_refused():
    (images, labels), (tests, truth) = pattern_images(40, seed=1), pattern_images(20, seed=2)
    dataset = fmnist.Dataset(images, labels, tests, truth, tuple("abcdefghij"), "drawn")
    with pytest.raises(InputError, match=r"needs two classes with at least 5 training images.*a 4.*take `folds=4`"):
        folds.check(dataset, 5)
    folds.check(dataset, 4)
    one = fmnist.Dataset(images, np.zeros_like(labels), tests, truth, tuple("abcdefghij"), "drawn")
    with pytest.raises(InputError, match="all images are of a"):
        folds.check(one, 5)


def test_few_images_get_more_epochs_and_none_to_validate_on():
    config = fmnist.preset("fast")
    assert folds.suited(config, 60_000).training.epochs == 1
    few = folds.suited(config, 256)
    assert few.training.epochs == 150 and few.data.validation_fraction == 0
    assert folds.suited(fmnist.preset("fast", early_stopping=2), 256).data.validation_fraction > 0


def test_a_missing_extra_is_named(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'fmnist\[audit\]'"):
        audit.audit_dataset(fmnist.preset("fast"), tiny_dataset, tmp_path)


def test_doubtful_labels_where_a_class_is_missing():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 2, 3], 100).astype(np.uint8)
    probabilities = np.full((300, 4), 0.02) + random.uniform(0, 0.01, (300, 4))
    probabilities[np.arange(300), labels] = 0.9
    probabilities[5] = [0.02, 0.02, 0.02, 0.94]
    assert findings.doubtful(labels, probabilities).tolist() == [5]
    assert findings.doubtful(labels[:100], probabilities[:100]).tolist() == []
