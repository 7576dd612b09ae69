"""Carries out a sweep: which trials come next, which of them go on, and what became of each."""

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fmnist import pipeline
from fmnist.config import leaves, restore
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.errors import FmnistError, InputError, first_line
from fmnist.run import results
from fmnist.run.directory import STUDY_FILE, SWEEP_FILE, RunDirectory, read_json, write_json
from fmnist.run.history import read_history
from fmnist.study import Forecast, Job, Runner, StudyWatcher, execution, forecast, is_done
from fmnist.study.runner import stop_early
from fmnist.study.tuning.journal import DIVERGED, FINISHED, REFUSED, RUNNING, STOPPED, Journal, Trial, name_of
from fmnist.study.tuning.referee import Referee
from fmnist.study.tuning.sweep import Sweep, spelled


def check(sweep: Sweep, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Return what `sweep.json` holds of a sweep from its beginning on: what makes it this one and no other.

    Raises:
        InputError: the folder holds something else, or a sweep of other settings or other data; or the data does not
            fit the settings.
    """
    base = sweep.base()
    if RunDirectory(folder).exists() or (folder / STUDY_FILE).is_file():
        raise InputError(f"{folder} holds a run or a study, not a sweep; choose another name")
    pipeline.check(base, dataset)
    _, validation = run_split(base.to_dict(), dataset.train_labels, dataset.num_validation)
    if not len(validation):
        raise InputError(
            f"a sweep looks for the lowest validation loss, and `validation_fraction={base.data.validation_fraction}` "
            "leaves no image to validate on"
        )
    own = {"name": folder.name, "preset": sweep.preset, "config": base.to_dict(), "space": spelled(sweep.space())}
    own |= {"description": sweep.description, "data_sha256": dataset.sha256}
    if not (folder / SWEEP_FILE).is_file():
        return own | {"study": f"{folder.name}-{uuid.uuid4().hex[:8]}", "seconds": 0.0}
    before = read_json(folder / SWEEP_FILE)
    if differences := _differences(before, own):
        told = f"{folder} holds a sweep that was begun otherwise; choose another name, or remove that folder:"
        raise InputError("\n  ".join([told, *differences]))
    return own | {name: before[name] for name in ("study", "seconds")}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say in what a sweep differs from the one that the folder holds."""
    try:
        was, is_ = leaves(restore(before["config"])), leaves(restore(now["config"]))
        told = [f"{name} was {was[name]}, is {is_[name]}" for name in was if was[name] != is_[name]]
        spaces = before["space"], now["space"]
        for name in sorted(spaces[0].keys() | spaces[1].keys()):
            if spaces[0].get(name) != spaces[1].get(name):
                told.append(f"{name} was searched in {spaces[0].get(name)}, is in {spaces[1].get(name)}")
        return told + (["other data"] if before["data_sha256"] != now["data_sha256"] else [])
    except (FmnistError, KeyError, TypeError, AttributeError) as error:
        return [f"its {SWEEP_FILE} is damaged: {first_line(error)}"]


def forecasts(
    sweep: Sweep,
    dataset: Dataset,
    folder: Path,
    numbers: Sequence[int],
    seconds: float | None = None,
    *,
    here: bool = True,
    note: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Job], list[Forecast]]:
    """Return the trials of these numbers as jobs with the preset's own values, and how long each takes to its end.

    That follows from the first trial where it is finished, and else from a short probe. One that is stopped takes less.
    Where there are so many `seconds` for them, those that come later are left out. Where they are not carried out
    `here`, nothing is known of how fast it goes.
    """
    base = sweep.base()
    first, *all_left = ((RunDirectory(folder / name_of(number)), base) for number in (0, *numbers))
    left = [job for job in all_left if not is_done(job[0])]
    if not here:
        return left, []
    found = forecast([first, *left] if is_done(first[0]) else left, dataset, tell=note, should_stop=should_stop)
    count = len(left) if seconds is None or not left else max(1, int(seconds / found[0].seconds))
    return left[:count], found[:count]


class Clock:
    """The time that a sweep has taken so far, those of earlier processes included, and whether there is more."""

    def __init__(self, before: float, budget: float | None) -> None:
        """Begin with the seconds that earlier processes spent."""
        self._started, self._budget = time.monotonic() - before, budget

    def spent(self) -> float:
        """Return the seconds so far."""
        return time.monotonic() - self._started

    def room(self, told: int) -> float:
        """Return how many more trials there is time for, each as long as those that are over were on average."""
        if self._budget is None or not told:
            return float("inf")
        return (self._budget - self.spent()) * told / self.spent()


class Search:
    """The trials of a sweep, one batch after another."""

    def __init__(self, sweep: Sweep, dataset: Dataset, folder: Path, journal: Journal) -> None:
        """Begin where the journal ends."""
        self._sweep, self._dataset, self._folder, self._journal = sweep, dataset, folder, journal
        self._referee = Referee(sweep.base().training.epochs, journal.over())

    def next(self, count: int, most: int, room: Callable[[int], float]) -> list[Trial]:
        """Return up to `count` trials: first those that an earlier driver left, then new ones, `most` in all."""
        batch = [trial for trial in self._journal.trials() if trial.outcome == RUNNING][:count]
        while len(batch) < count and len(self._journal.trials()) < most and room(len(self._journal.over())) >= 1:
            batch.append(self._journal.ask(leaves(self._sweep.base())))
        return batch

    def carry_out(
        self, batch: Sequence[Trial], runner: Runner, watcher: StudyWatcher, should_stop: Callable[[], bool]
    ) -> None:
        """Train a batch, stop what falls behind, and tell the journal what became of each.

        Raises:
            InputError: a run of that name was made with other values.
            RunError: a run failed for a reason that is not its settings.
            Interrupted: `should_stop` said so; the trials are left open.
        """
        open_: dict[Trial, Job] = {}
        for trial in batch:
            try:
                job = RunDirectory(self._folder / trial.name), self._sweep.config(trial.values)
                pipeline.check(job[1], self._dataset)
                open_[trial] = job
            except InputError as error:  # these values do not go together
                self._journal.tell(trial, REFUSED, note=first_line(error))
        jobs = list(open_.values())
        if stale := execution.check(self._folder, jobs, self._dataset):
            told = [f"{run.name}: {reason}" for run, reason in stale.items()]
            raise InputError("\n  ".join([f"{self._folder} holds runs that its journal does not know:", *told]))

        def look() -> bool:
            """Ask after each segment of steps, or now and then where the runs are elsewhere."""
            for trial, (run, _) in open_.items():
                if self._falls_behind(trial, run) and not run.stopped.is_file():
                    stop_early(run, "its validation loss fell behind the better half of the trials")
            return should_stop()

        runner(jobs, self._dataset, watcher, look)
        for trial, (run, _) in open_.items():
            self._close(trial, run)

    def _falls_behind(self, trial: Trial, run: RunDirectory) -> bool:
        if not run.history.is_file():
            return False
        history = read_history(run.history)
        self._journal.record(trial, history)
        return self._referee.falls_behind(trial, {int(row["epoch"]): row["val_loss"] for row in history})

    def _close(self, trial: Trial, run: RunDirectory) -> None:
        self._falls_behind(trial, run)  # the last epochs; it is too late to stop
        if run.stopped.is_file():
            self._journal.tell(trial, STOPPED)
        elif run.state() == "diverged":
            self._journal.tell(trial, DIVERGED, note=str(run.read_status().get("message", "")))
        else:
            self._journal.tell(trial, FINISHED, results.model_row(run)["val_loss"])


def note(folder: Path, identity: dict[str, Any], seconds: float, trials: Sequence[Trial]) -> None:
    """Write down how far a sweep has come."""
    over = sum(trial.outcome != RUNNING for trial in trials)
    write_json(folder / SWEEP_FILE, identity | {"state": "running", "seconds": round(seconds, 1), "done": over})
