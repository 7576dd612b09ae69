"""The time budget: how many epochs are planned, and that a run keeps to it."""

import pytest

import fmnist
from fmnist.run.directory import read_json
from fmnist.run.history import read_history
from fmnist.training import time_budget
from fmnist.training.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(time_budget.backend, "clock", lambda: Clock.now)
    return Clock


def budget(spent=0):
    """A budget of 100 s for epochs of 10 steps, some of them spent before."""
    length = time_budget.TimeBudget(100, 10, fmnist.preset("reference"), fmnist.Watcher())
    length.begin(at(0, seconds=spent))
    return length


def at(steps, seconds=0.0):
    """Where training stands after so many steps."""
    return Progress(epochs=1, epoch=steps // 10, step=steps % 10, seconds=seconds)


def test_the_forecast_worked_by_hand(clock):
    """10 steps an epoch. The first segment (2 steps, 30 s of compiling) is left out; a step then takes 1 s.

    At 33 s, 5 steps in: measuring is guessed at 15% of 10 s, so that 65.5 s are left to train in: 5 s to the end of the
    epoch, and 60.5 s for epochs of 11.5 s.
    """
    length = budget()
    clock.now = 30
    length.after_steps(at(2))
    assert length.forecast(at(2)) is None
    clock.now = 33
    length.after_steps(at(5))
    assert length.forecast(at(5)) == pytest.approx(1 + 60.5 / 11.5)
    assert length.share_done() == pytest.approx(33 / 98.5) and not length.is_over()


def test_a_measured_epoch_replaces_the_guess(clock):
    """Measuring took 4 s, so an epoch takes 14 s: 100 − 65 − 4 s are left, 5 s of them for this epoch."""
    length = budget(spent=10)
    clock.now = 46
    length.after_steps(at(10))
    clock.now = 50
    length.after_epoch(at(10), 4)
    clock.now = 55
    length.after_steps(at(15))
    assert length.spent() == 65
    assert length.forecast(at(15)) == pytest.approx(2 + 26 / 14)
    assert length.forecast(Progress(epochs=1, epoch=1, step=10)) == pytest.approx(2 + 31 / 14)


def test_the_last_epoch_is_done_in_part(clock):
    """At 93 s of 100, with 4 s for measuring, 3 of the 8 steps that are missing still fit."""
    length = budget()
    length.after_steps(at(20))
    length.after_epoch(at(10), 4)
    clock.now = 2
    length.after_steps(at(22))
    clock.now = 93
    assert length.forecast(at(22)) == pytest.approx(2.5)
    clock.now = 95.9
    assert not length.is_over()
    clock.now = 96
    assert length.is_over() and length.share_done() == 1


@pytest.mark.parametrize(("now", "worth"), [(93.9, True), (94.1, False), (120, False)])
def test_a_rest_too_small_is_left(clock, now, worth):
    length = budget()
    length.after_steps(at(1))
    clock.now = now
    progress = at(10)
    length.after_epoch(progress, 4)
    assert progress.epochs == 1 + worth


def test_a_run_ends_with_its_budget(tiny_dataset, tmp_path):
    """How many epochs it takes is the machine's affair; that it says so, stops, and cools down is ours."""
    schedule = {"schedule": "triangle", "warmup_fraction": 0.1, "learning_rate": 0.01}
    config = fmnist.preset("reference", filters=(4,), time_budget=5, segment_steps=3, batch_size=32, **schedule)
    notes = []

    class Notes(fmnist.Watcher):
        def note(self, text):
            notes.append(text)

    run = fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Notes(), train_only=True)
    status, rows = read_json(run.status), read_history(run.history)
    assert status["state"] == "finished" and len(rows) == status["epoch"] == status["epochs"] > 1
    assert rows[-1]["learning_rate"] < 0.1 * max(row["learning_rate"] for row in rows)
    assert len(notes) == 1 and notes[0].startswith("Time budget 5 s: about ")


def test_a_budget_too_small_for_an_epoch_trains_a_part_of_it(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(time_budget.TimeBudget, "is_over", lambda self: self._last is not None and self._last[1] >= 6)
    config = fmnist.preset("reference", filters=(4,), time_budget=1, segment_steps=3, batch_size=32)
    steps = []

    class Segments(fmnist.Watcher):
        def segment(self, progress):
            steps.append(progress.step)

    run = fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Segments(), train_only=True)
    assert steps == [3, 6] and len(read_history(run.history)) == 1
    assert run.model.is_file()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1m30", 90)])
def test_times_are_understood(text, seconds):
    from fmnist.cli.settings import Seconds

    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "10x", "-5", "1m2h"])
def test_what_is_no_time_is_refused(text, run_cli):
    code, out, err = run_cli("train", "--time-budget", text)
    assert code == 2 and out == "" and "expected a time such as 90s, 10m or 1h30m" in err
