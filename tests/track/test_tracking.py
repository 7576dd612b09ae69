"""Runs are sent to a tracking system by a process of its own: in order, once, and never in the way of training."""

import csv
import importlib.util
import io
import json

import numpy as np
import pytest
from support.study_runs import write_run

import fmnist
from fmnist import track
from fmnist.errors import InputError, RunError
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history, write_history
from fmnist.study import StudyWatcher
from fmnist.track import line
from fmnist.track.studies import TrackedStudy
from fmnist.training.progress import Progress, Watcher, Watchers

RIGHT = np.arange(200) % 10 > 0


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Make one of the fake systems the only one; returns a function that reads what it was asked."""
    seen = tmp_path / "seen"
    monkeypatch.setenv("FMNIST_FAKE", str(seen))

    def choose(name):
        monkeypatch.setattr(track, "SYSTEMS", {"fake": track.System("Fake", f"support.fake_tracking:{name}", ())})
        return lambda: [json.loads(text) for text in seen.read_text().splitlines()] if seen.exists() else []

    return choose


@pytest.fixture
def run(tmp_path):
    made = RunDirectory(tmp_path / "runs" / "first")
    write_run(made, fmnist.preset("reference", epochs=3), RIGHT)
    return made


def test_epochs_are_sent_while_they_come_and_the_results_at_the_end(system, run):
    seen, rows, told = system("Recorder"), read_history(run.history), []
    run.history.unlink()
    with track.Tracking(["fake"], told.append) as tracking:
        watcher = tracking.watch(run)
        watcher.start(Progress(epochs=3), 10)
        for number, row in enumerate(rows, 1):
            write_history(run.history, rows[:number])
            watcher.epoch(row)
    name, first, study = seen()[0]
    assert (name, first, study) == ("first", "open", None)
    assert seen()[-1] == ["first", "final", [1, 2, 3]]
    assert [what for _, what, _ in seen()].count("final") == 1
    assert told == ["Tracked   here: first"]


def test_a_study_is_told_of_its_runs(system, tmp_path):
    seen, folder, runs = system("Recorder"), tmp_path / "runs" / "study", []
    for number in (0, 1):
        runs.append(RunDirectory(folder / f"run{number}"))
        write_run(runs[-1], fmnist.preset("reference", epochs=2, seed=number), RIGHT)
    with track.Tracking(["fake"], lambda text: None) as tracking:
        study = TrackedStudy(tracking, folder, StudyWatcher())
        study.start([], [])
        for one in runs:
            study.begin(one).start(Progress(epochs=2), 10)
            study.end(one)
    assert [name for name, what, _ in seen() if what == "final"] == ["run0", "run1", "study"]
    assert {name: study for name, what, study in seen() if what == "open"} == {
        "study": None, "run0": "study", "run1": "study"
    }  # fmt: skip


@pytest.mark.parametrize(("name", "problem"), [("Failing", "the disk is full"), ("Dying", "its process was ended")])
def test_a_system_that_fails_is_told_once_and_tried_again(name, problem, system, run):
    seen, told = system(name), []
    with track.Tracking(["fake"], told.append) as tracking:
        watcher = tracking.watch(run)
        watcher.start(Progress(epochs=3), 10)
        watcher.epoch({})
    assert told == [f"Tracking  Fake failed: {problem}; training is not affected"]
    assert [what for _, what, _ in seen()].count("open") >= 2


def test_nothing_waits_for_a_system_that_hangs(system, run, monkeypatch):
    """Its call takes 1,000 seconds; the test has less."""
    monkeypatch.setattr(track, "PATIENCE", 0.5)
    system("Hanging")
    told = []
    with track.Tracking(["fake"], told.append) as tracking:
        watcher = tracking.watch(run)
        for _ in range(1_000):
            watcher.epoch({})
    assert told == ["Tracking  Fake failed: it is too slow, and not all has been sent; training is not affected"]


def test_the_queue_is_bounded(system, run, tmp_path, monkeypatch):
    monkeypatch.setattr(track, "PATIENCE", 0.2)
    monkeypatch.setattr(line, "MAX_WAITING", 2)
    system("Hanging")
    told = []
    with track.Tracking(["fake"], told.append) as tracking:
        for number in range(10):
            tracking.send(RunDirectory(tmp_path / str(number)))
    assert told == ["Tracking  Fake failed: it is too slow, and a run is left out; training is not affected"]


def test_unknown_systems_and_missing_packages_are_told_before_training(monkeypatch, run_cli):
    with pytest.raises(InputError, match="did you mean 'mlflow'"):
        track.check(["mlflw"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"tensorboardX.*pip install 'fmnist\[track\]'"):
        track.check(["tensorboard"])
    code, out, err = run_cli("train", "--track", "mlflow")
    assert (code, out) == (1, "") and "pip install 'fmnist[track]'" in err


def test_a_run_remembers_where_it_was_sent(run):
    assert track.tracked_by(run) == []
    run.tensorboard.mkdir()
    run.mlflow.write_text("{}")
    assert track.tracked_by(run) == ["tensorboard", "mlflow"]


def test_several_watchers_hear_everything():
    heard = []

    class Ear(Watcher):
        def __init__(self, name):
            for method in ("network", "start", "segment", "epoch", "note"):
                setattr(self, method, lambda *_, said=(name, method): heard.append(said))

    both = Watchers(Ear(1), Ear(2))
    both.network(None)
    both.start(None, 1)
    both.segment(None)
    both.epoch({})
    both.note("")
    assert heard == [(ear, what) for what in ("network", "start", "segment", "epoch", "note") for ear in (1, 2)]


def test_runs_as_csv(run, run_cli):
    other = RunDirectory(run.path.parent / "=other")
    write_run(other, fmnist.preset("fast", epochs=4, filters=(8, 16)), RIGHT)
    other.metrics.unlink()
    (run.path.parent / "bad").mkdir()
    (run.path.parent / "bad" / "config.json").write_text("{")
    code, out, _ = run_cli("runs", "--runs-dir", run.path.parent, "--export", "csv")
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(out))}
    assert code == 0 and rows.keys() == {"first", "'=other", "bad"}
    first, last = rows["first"], read_history(run.history)[-1]
    assert (first["state"], first["preset"], first["epochs"], first["seed"]) == ("finished", "reference", "3", "0")
    assert float(first["test_accuracy"]) == 0.9 and float(first["val_loss"]) == last["val_loss"]
    assert float(first["learning_rate"]) == fmnist.preset("reference").training.learning_rate
    assert (rows["'=other"]["filters"], rows["'=other"]["test_accuracy"]) == ("8 16", "")
    assert (rows["bad"]["state"], rows["bad"]["epochs"]) == ("damaged", "0")
    assert run_cli("runs", "--export", "csv", "--json")[0] == 2
