"""A study from its plan to its page: what is run, what is skipped, what goes on, and what its result says."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.pages import Page
from support.study_runs import timeless, write_run

from fmnist.errors import InputError
from fmnist.evaluation import robustness
from fmnist.run.directory import RunDirectory, list_runs, read_json, write_json
from fmnist.study import (
    Study,
    StudyWatcher,
    compare,
    folder_name,
    forecast,
    is_done,
    list_studies,
    page,
    plan,
    tables,
    words,
    write_results,
)
from fmnist.training.progress import Interrupted

QUICK = {"filters": (4, 8, 8), "epochs": 2, "batch_size": 32, "segment_steps": 4}
TINY = Study("tiny", settings=QUICK, variants={"flip": {"flip": True}}, seeds=(0, 1))


class Killed(BaseException):
    """Ends a study as a kill does: no handler for errors sees it."""


class Recorder(StudyWatcher):
    """Notes which runs begin; may kill the study at the n-th question whether to stop."""

    def __init__(self, kill_at=None):
        self.begun, self.left = [], kill_at

    def start(self, jobs, forecasts):
        self.forecasts = forecasts

    def begin(self, run):
        self.begun.append(run.name)

    def should_stop(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return False


def right(share, images=1000, seed=0):
    """Which test images are right: the easy ones, and some noise."""
    rng = np.random.default_rng(99)
    return rng.random(images) + 0.05 * np.random.default_rng(seed).normal(size=images) < share


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_dataset):
    """A study carried out in one go, its folder and its result."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, compare(TINY, tiny_dataset, folder)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The result of runs that nobody trained: `helps` gains five points and has no gap, `same` is the baseline."""
    folder, settings = tmp_path_factory.mktemp("made") / "made-up", {"epochs": 12}
    study = Study(
        "made-up", "Does it help?", settings=settings, variants={"helps": {"flip": True}, "same": {"shift": 1}}
    )
    for number, (name, share, overfits) in enumerate((("baseline", 0.85, 1), ("helps", 0.90, 0), ("same", 0.85, 1))):
        for seed in study.seeds:
            config = study.config(name, seed)
            run = RunDirectory(folder / folder_name(name, seed))
            write_run(run, config, right(share, seed=10 * number + seed), overfits=overfits)
    return study, folder, write_results(study, folder)


def test_a_study_leaves_runs_and_a_table(finished):
    folder, result = finished
    assert read_json(folder / "study.json") == result and result["state"] == "finished"
    assert [row["name"] for row in result["variants"]] == ["baseline", "flip"]
    for row in result["variants"]:
        for run, seed in zip(row["runs"], (0, 1), strict=True):
            scores = read_json(RunDirectory(folder / run["run"]).metrics)
            assert (run["seed"], run["test_accuracy"], run["test_loss"]) == (seed, scores["accuracy"], scores["loss"])
        assert row["summary"]["test_loss"]["mean"] == pytest.approx(np.mean([run["test_loss"] for run in row["runs"]]))
        assert row["summary"]["parameters"] == {"mean": row["runs"][0]["parameters"], "sd": 0, "n": 2}
    base, flip = (row["runs"] for row in result["variants"])
    expected = np.mean([mine["test_loss"] - its["test_loss"] for mine, its in zip(flip, base, strict=True)])
    assert result["variants"][1]["difference"]["test_loss"]["mean"] == pytest.approx(expected)
    assert result["variants"][1]["test_difference"]["test_loss"]["mean"] == pytest.approx(expected, rel=1e-5)
    assert (folder / "table.md").read_text("utf-8") == words.markdown(result)
    assert (folder / "report.html").is_file()


def test_pairs_share_their_split(finished):
    folder, _ = finished
    for seed in (0, 1):
        ours, theirs = (read_json(folder / f"{name}-seed{seed}" / "config.json") for name in ("baseline", "flip"))
        ours["augmentation"]["flip"] = True
        assert ours == theirs


def test_finished_runs_are_skipped_and_more_seeds_added(finished, tiny_dataset, monkeypatch):
    folder, result = finished
    recorder = Recorder()
    assert timeless(compare(TINY, tiny_dataset, folder, watcher=recorder)) == timeless(result)
    assert recorder.begun == [] and recorder.forecasts == []
    jobs, stale = plan(TINY.changed({}, (0, 1, 2)), tiny_dataset, folder)
    assert not stale and [run.name for run, _ in jobs if not is_done(run)] == ["baseline-seed2", "flip-seed2"]
    monkeypatch.setattr("fmnist.study.duration.probe", lambda *_: pytest.fail("finished runs tell the time"))
    expected = forecast(jobs, tiny_dataset)
    assert [one.source for one in expected] == ["runs", "runs"]
    for one, row in zip(expected, result["variants"], strict=True):
        assert one.seconds >= row["summary"]["seconds"]["mean"] and one.low < one.seconds < one.high


def test_a_study_killed_twice_ends_in_the_same_table(finished, tiny_dataset, tmp_path, monkeypatch):
    """Killed before there is anything to go on from, then in the second run, with a checkpoint behind it."""
    monkeypatch.setattr("fmnist.training.state.CHECKPOINT_SECONDS", 0.0)
    folder = tmp_path / "tiny"
    for segments, name in ((0, "baseline-seed0"), (2 * 4 + 1, "flip-seed0")):
        with pytest.raises(Killed):
            compare(TINY, tiny_dataset, folder, should_stop=Recorder(kill_at=segments).should_stop)
        assert (
            RunDirectory(folder / name).state() == "running" and read_json(folder / "study.json")["state"] == "running"
        )
        assert (folder / name / "checkpoints").is_dir() == bool(segments)
    monkeypatch.setattr("fmnist.study.duration.probe", lambda *_: 1.0)
    again = Recorder()
    result = compare(TINY, tiny_dataset, folder, watcher=again)
    assert again.begun == ["flip-seed0", "baseline-seed1", "flip-seed1"]
    assert [one.source for one in again.forecasts] == ["probe", "runs", "probe"]
    assert timeless(result) == timeless(finished[1])


def test_another_runner_takes_the_seam(finished, tiny_dataset, tmp_path):
    """What carries out the list is given whole, and the result is worked out from what it leaves."""

    def copying(jobs, dataset, watcher, should_stop):
        import shutil

        for run, _ in jobs:
            shutil.copytree(finished[0] / run.name, run.path)

    assert timeless(compare(TINY, tiny_dataset, tmp_path / "tiny", runner=copying)) == timeless(finished[1])
    with pytest.raises(InputError, match="baseline-seed0 is not finished; run the study again"):
        compare(TINY, tiny_dataset, tmp_path / "none", runner=lambda *_: None)


def test_a_variant_that_diverges_stops_no_other(tiny_dataset, tmp_path):
    study = Study(
        "wild",
        settings={**QUICK, "epochs": 1},
        variants={"wild": {"optimizer": "sgd", "learning_rate": 1e30}},
        seeds=(0,),
    )
    result = compare(study, tiny_dataset, tmp_path / "wild")
    base, wild = result["variants"]
    assert base["runs"][0]["state"] == "finished" and wild["runs"][0]["state"] == "diverged"
    assert wild["sentence"].startswith("wild failed with every seed: the loss became ")
    assert tables.value_table(result)[2] == ["wild", *["–"] * 8, "failed"]
    assert all(is_done(run) for run, _ in plan(study, tiny_dataset, tmp_path / "wild")[0])


def test_runs_made_otherwise_are_refused_or_made_again(finished, tiny_dataset, tmp_path):
    folder, _ = finished
    with pytest.raises(InputError) as caught:
        compare(TINY.changed({"epochs": 3}), tiny_dataset, folder)
    assert "4 stored runs differ" in str(caught.value) and "`overwrite=True`" in str(caught.value)
    assert "flip-seed1: epochs was 2, is 3" in str(caught.value)
    run = RunDirectory(tmp_path / "made" / "baseline-seed0")
    write_run(run, TINY.config("baseline", 0), right(0.9), sha256="another")
    assert list(plan(TINY, tiny_dataset, tmp_path / "made")[1].values()) == ["other data"]
    study = Study("made", settings=QUICK, variants=TINY.variants, seeds=(0,))
    made = compare(study, tiny_dataset, tmp_path / "made", overwrite=True)
    assert made["variants"][0]["runs"][0]["test_loss"] == finished[1]["variants"][0]["runs"][0]["test_loss"]


def test_a_run_is_no_place_for_a_study(tiny_run, tiny_dataset):
    with pytest.raises(InputError, match="holds a run, not a study"):
        compare(TINY, tiny_dataset, tiny_run.path)


def test_studies_are_no_runs(made_up):
    _, folder, _ = made_up
    assert list_runs(folder.parent) == []
    assert list_studies(folder.parent) == [
        {"kind": "study", "name": "made-up", "state": "finished", "done": 9, "runs": 9}
    ]


def test_sentences_say_what_is_measurable(made_up):
    base, helps, same = made_up[2]["variants"]
    assert base["sentence"].startswith("The baseline reaches 8")
    difference = helps["test_difference"]["test_accuracy"]
    gained = 100 * difference["mean"]
    assert 3 < gained < 7 and difference["interval"][0] > 0
    assert "of the gap (" in helps["sentence"] and f"and gains {gained:.1f} ± " in helps["sentence"]
    assert same["sentence"].startswith("same makes no difference worth having to the gap (0.0 ± 0.0 points)")
    assert difference["outcome"] == "helps" and "seeds_to_tell" not in difference
    assert same["difference"]["gap"]["outcome"] == "no difference worth having"


def test_the_gap_closed_is_a_share_of_the_baselines(made_up):
    base, helps, same = made_up[2]["variants"]
    gaps = [np.mean([run["gap"] for run in row["runs"]]) for row in (base, helps)]
    assert helps["gap_closed"] == pytest.approx(1 - gaps[1] / gaps[0]) and same["gap_closed"] == pytest.approx(0)
    assert base["summary"]["onset"]["n"] == 3 and helps["summary"]["onset"] is None
    assert tables.value_table({"variants": [base, helps, same]})[2][6] == "never"


UNTOLD = "ith 3 seeds it cannot be told whether it changes"
GAP, ACCURACY = "the gap (+0.2 ± 2.0 points)", "the test accuracy (+0.5 ± 1.0 points)"


@pytest.mark.parametrize(
    ("gap", "accuracy", "loss", "expected"),
    [
        (
            (-4, 1),
            (2, 1),
            None,
            " closes 80% of the gap (5.0 to 1.0 points) and gains 2.0 ± 1.0 points of test accuracy.",
        ),
        (
            (-6, 1),
            (-2, 1),
            None,
            " closes all of the gap (5.0 to −1.0 points) and costs 2.0 ± 1.0 points of test accuracy.",
        ),
        (
            (3, 1),
            (0.5, 1),
            None,
            f" widens the gap by 3.0 ± 1.0 points (5.0 to 8.0 points). W{UNTOLD} {ACCURACY}.",
        ),
        (
            (0.2, 2),
            (0.5, 1),
            (-0.05, 0.01),
            f" lowers the test loss by 0.050 ± 0.010. W{UNTOLD} {GAP} or {ACCURACY}.",
        ),
        ((0.2, 2), (0.5, 1), None, f": w{UNTOLD} {GAP} or {ACCURACY}."),
        (
            (0.2, 0.7),
            (0.1, 0.3),
            None,
            " makes no difference worth having to the gap (+0.2 ± 0.7 points) and makes no difference worth having to "
            "the test accuracy (+0.1 ± 0.3 points).",
        ),
        (
            (-4, None),
            (2, 1),
            None,
            f" gains 2.0 ± 1.0 points of test accuracy. W{UNTOLD} the gap (−4.0 points).",
        ),
        (None, (2, 0.01), None, " gains 2.00 ± 0.01 points of test accuracy."),
    ],
)
def test_a_sentence_for_every_outcome(gap, accuracy, loss, expected):
    def difference(pair, scale=100):
        if pair is None:
            return None
        mean, margin = pair[0] / scale, pair[1] and pair[1] / scale
        return {"mean": mean, "interval": margin and [mean - margin, mean + margin], "n": 3}

    seconds = {"mean": 10.0, "sd": 1.0, "n": 3}
    after = 5 + (gap[0] if gap else 0)
    row = {
        "name": "x",
        "runs": [{"state": "finished"}],
        "difference": {"gap": difference(gap)},
        "test_difference": {"test_accuracy": difference(accuracy), "test_loss": difference(loss or (0, 0.01), 1)},
        "summary": {"gap": {"mean": after / 100}, "seconds": seconds},
        "gap_closed": 1 - after / 5,
    }
    base = {"summary": {"gap": {"mean": 0.05}, "seconds": seconds}}
    assert words.sentence(row, base, 3) == f"x{expected}"
    slow = {**row, "summary": {**row["summary"], "seconds": {"mean": 25.0}}}
    assert words.sentence(slow, base, 3).replace("; it takes 2.5 times as long", "", 1) == f"x{expected}"


def test_two_seeds_cannot_tell_and_say_how_many_would(made_up):
    """−2.7 ± 23.4 points is no absence of an effect; and no gain whose interval holds 0 is a headline."""
    base, helps, _ = made_up[2]["variants"]
    open_ended = {"mean": -0.027, "interval": [-0.261, 0.207], "n": 2, "outcome": "cannot tell", "seeds_to_tell": 8}
    accuracy, loss = dict(open_ended), {"mean": 0.0, "interval": [-1.0, 1.0], "n": 2}
    row = helps | {"name": "x", "test_difference": {"test_accuracy": accuracy, "test_loss": loss}}
    told = words.sentence(row, base, 2)
    assert "With 2 seeds it cannot be told whether it changes the test accuracy (−2.7 ± 23.4 points; --seeds 8" in told
    assert "nothing" not in told and "within the noise" not in told
    row["test_difference"]["test_accuracy"] = accuracy | {"mean": 0.027, "interval": [-0.207, 0.261]}
    cards = page._cards(made_up[2] | {"seeds": [0, 1], "variants": [base, row]})
    assert cards[0] == ("Largest gain", "none", "that could be told from chance with 2 seeds")
    better = row | {"name": "y", "test_difference": {"test_accuracy": helps["test_difference"]["test_accuracy"]}}
    assert page._cards(made_up[2] | {"variants": [base, row, better]})[0][2] == "points of test accuracy: y"


def test_the_page_says_it_all_and_needs_nothing_else(made_up):
    study, folder, result = made_up
    page = Page(folder / "report.html")
    told = page.text.replace("\N{NO-BREAK SPACE}", " ")
    for row in result["variants"][1:]:
        assert row["sentence"].removeprefix(row["name"]) in told
    for table in (tables.value_table(result), tables.difference_table(result)):
        assert all(cell in told for cells in table for cell in cells)
    assert told.index("helps closes") < told.index("same makes no difference")
    assert len(page.all("svg")) == 2 + 2 + 3  # and no empty part
    assert not page.all("script") and not page.all("link") and not page.all("img")
    assert not [
        value
        for _, found in page.elements
        for name, value in found.items()
        if name in ("src", "href") and not value.startswith("#")
    ]
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    before = (folder / "report.html").read_bytes()
    write_results(study, folder)
    assert (folder / "report.html").read_bytes() == before


def scored(run, accuracies):
    """Write what a run reached on corrupted images."""
    clean = {"accuracy": 0.9, "ece": 0.1, "unfamiliar": None}
    kinds = [{"name": name, "accuracy": [share] * 5} for name, share in accuracies.items()]
    mean = float(np.mean([*accuracies.values()]))
    write_json(run.robustness, {"accuracy": mean, "clean": clean, "kinds": kinds, "num_images": 50})


def test_runs_are_scored_on_corrupted_images_once(finished, tiny_dataset, tmp_path, monkeypatch):
    """All that are finished; the table has a column more, and a table of the corruptions beside it."""
    folder, study = tmp_path / "tiny", replace(TINY, corrupted_images=50)
    shutil.copytree(finished[0], folder)
    measured = []

    def measure(run, dataset, *, num_images):
        measured.append((run.name, num_images))
        scored(run, {"fog": 0.5 + 0.1 * run.name.startswith("flip"), "shift": 0.3})

    monkeypatch.setattr(robustness, "measure", measure)
    result = compare(study, tiny_dataset, folder)
    names = ["baseline-seed0", "flip-seed0", "baseline-seed1", "flip-seed1"]
    assert measured == [(name, 50) for name in names]
    assert "corrupted accuracy, %" in tables.value_table(result)[0]
    assert tables.corruption_table(result) == [
        ["corruption", "baseline, %", "flip"],
        ["fog", "50.0", "+10.0 ± 0.0"],
        ["shift", "30.0", "0.0 ± 0.0"],
    ]
    told = result["variants"][1]["sentence"]
    assert told.endswith(" On corrupted images it gains 5.0 ± 0.0 points; it gains most with fog (+10.0 ± 0.0).")
    assert "and 40.00 ± 0.00% on corrupted images" in result["variants"][0]["sentence"]
    page = Page(folder / "report.html").text
    assert "+10.0 ± 0.0" in page and "Accuracy on corrupted images" in page
    compare(study, tiny_dataset, folder)
    assert len(measured) == 4
    with pytest.raises(Interrupted):
        compare(replace(study, corrupted_images=60), tiny_dataset, folder, should_stop=lambda: True)


def test_without_corrupted_images_no_table_has_them(finished):
    result = finished[1]
    assert "corrupted accuracy, %" not in tables.value_table(result)[0] and len(tables.titled(result)) == 2
    assert "corrupted" not in result["variants"][0]["sentence"] + result["variants"][1]["sentence"]
