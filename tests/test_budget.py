"""The time budget: how many epochs are planned, and that a run keeps to it."""

import pytest

import fmnist
from fmnist import budget
from fmnist.rundir import read_history, read_json


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(budget.time, "monotonic", lambda: Clock.now)
    return Clock


def test_the_plan_worked_by_hand(clock):
    """10 steps an epoch. The first segment (2 steps, 30 s of compiling) is left out; a step then takes 1 s.

    At 33 s, 5 steps in: 5 s to the end of the epoch and 1.5 s for measuring, guessed at 15% of 10 s. Of 100 s are then
    left 60.5 s, and an epoch takes 11.5 s: five more.
    """
    pace = budget.Pace(100, spent=0)
    clock.now = 30
    pace.after_steps(2)
    assert pace.epochs(0, 2, 10) is None
    clock.now = 33
    pace.after_steps(5)
    assert pace.epochs(0, 5, 10) == 1 + 5


def test_measured_epochs_replace_the_guess(clock):
    """Measuring took 4 s, so an epoch takes 14 s: of 100 − 60 − 10 + 5 − 4 = 31 s two more fit after this one."""
    pace = budget.Pace(100, spent=10)
    clock.now = 46
    pace.after_steps(10)
    clock.now = 50
    pace.after_epoch(4)
    clock.now = 55
    pace.after_steps(15)
    assert pace.spent() == 65
    assert pace.epochs(1, 5, 10) == 2 + 1
    assert pace.epochs(1, 10, 10) == 2 + 2


def test_one_epoch_is_the_least(clock):
    pace = budget.Pace(1, spent=0)
    for now, steps in ((5, 1), (10, 2)):
        clock.now = now
        pace.after_steps(steps)
    assert pace.epochs(0, 2, 10) == 1


def test_epochs_of_one_segment_are_planned_too(tiny_dataset, tmp_path):
    """480 images make one segment: only the second epoch shows the pace, and the run must not go on to 100."""
    config = fmnist.preset("reference", filters=(4,), time_budget=4, batch_size=64)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    status = read_json(run.status)
    assert status["epoch"] == status["epochs"] < budget.UNKNOWN


def test_a_run_keeps_to_its_budget(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", filters=(4,), time_budget=6, segment_steps=3, batch_size=32)
    notes = []

    class Notes(fmnist.Watcher):
        def note(self, text):
            notes.append(text)

    run = fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Notes(), train_only=True)
    status, rows = read_json(run.status), read_history(run.history)
    # How many it are is the machine's affair; that it planned, said so and kept to the plan is ours.
    assert len(rows) == status["epoch"] == status["epochs"] < budget.UNKNOWN
    assert f"{status['epochs']} epoch(s) in all" in notes[-1]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1m30", 90)])
def test_times_are_understood(text, seconds):
    from fmnist.cli.options import _Seconds

    assert _Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "10x", "-5", "1m2h"])
def test_what_is_no_time_is_refused(text, run_cli):
    code, out, err = run_cli("train", "--time-budget", text)
    assert code == 2 and out == "" and "expected a time such as 90s, 10m or 1h30m" in err
