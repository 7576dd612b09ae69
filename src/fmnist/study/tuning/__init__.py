"""Sweeps: which values of some settings bring the lowest validation loss, found trial by trial.

    result = fmnist.tune(fmnist.read_sweep("mine.yaml"), dataset, "runs/mine", trials=40)

Optuna chooses what to try; every trial is a run, carried out by a runner as a study's are. `docs/scale.md` says how to
read the result.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmnist import pipeline
from fmnist.data.dataset import Dataset
from fmnist.run import results
from fmnist.run.directory import SWEEP_FILE, RunDirectory, write_bytes, write_json
from fmnist.study import TABLE, Runner, StudyWatcher, run_in_turn
from fmnist.study.tuning import result
from fmnist.study.tuning.journal import Journal, check_installed
from fmnist.study.tuning.search import Clock, Search, check, forecasts, note
from fmnist.study.tuning.sweep import Sweep, read_sweep
from fmnist.text import plural

__all__ = ["Sweep", "check", "check_installed", "forecasts", "planned", "read_sweep", "result", "tune"]

TRIALS, MOST_TRIALS = 20, 1_000


def tune(
    sweep: Sweep,
    dataset: Dataset,
    folder: str | Path,
    *,
    trials: int | None = None,
    time_budget: float | None = None,
    watcher: StudyWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    runner: Runner = run_in_turn,
    at_once: int = 1,
    storage: str | None = None,
) -> dict[str, Any]:
    """Search for the settings with the lowest validation loss; write `sweep.json`, `table.md` and `report.html`.

    The first trial has the preset's own values; the next are drawn at random, and then by a tree-structured Parzen
    estimator, which draws where earlier ones did well. A trial whose validation loss falls behind the better half of
    the others after a quarter or a half of its epochs is stopped. The test set is read once, for the best trial.

    Every trial is a run directory, `trial-<number>` in the folder. The same call after a stop or a kill goes on: no
    trial is lost, none is tried twice, and where they are carried out in turn, the next ones are those that would have
    come. With more `trials` or time a finished sweep goes on, too.

    Args:
        sweep: from `read_sweep`, or put together in Python.
        dataset: from `fmnist.load_dataset`.
        folder: the sweep's, e.g. `runs/mine`.
        trials: how many there are to be in all; None for 20, or for as many as there is time for, at most 1,000.
        time_budget: seconds that all trials may take together; a trial that would end later is not begun.
        watcher: is told what happens, and first how long it will take; None stays silent and measures nothing.
        should_stop: asked after each segment of steps.
        runner: what carries out trials.
        at_once: how many trials the runner is given at once.
        storage: the address of a database for Optuna's records, such as `postgresql://host/name`, in place of the file
            `journal.log`.

    Returns:
        The contents of `sweep.json`.

    Raises:
        InputError: the folder holds something else, or trials of other settings or other data; the data does not fit.
        RunError: Optuna is not installed, the sweep is in use, a trial failed for a reason that is not its settings, or
            none finished.
        Interrupted: `should_stop` said so; call again to go on.
    """
    check_installed()
    folder, most = Path(folder), planned(trials, time_budget)
    check(sweep, dataset, folder)
    with RunDirectory(folder).lock():
        identity = check(sweep, dataset, folder)  # again: another process may have begun it meanwhile
        note(folder, identity, identity["seconds"], [])
        opened = Journal(folder, identity["study"], sweep.space(), sweep.base().training.seed, storage)
        with contextlib.closing(opened) as journal:
            if watcher:
                numbers, left = range(len(journal.over()), most), time_budget and time_budget - identity["seconds"]
                how: dict[str, Any] = {"here": runner is run_in_turn, "note": watcher.note, "should_stop": should_stop}
                watcher.start(*forecasts(sweep, dataset, folder, numbers, left, **how))
            clock = Clock(identity["seconds"], time_budget)
            search = Search(sweep, dataset, folder, journal)
            while batch := search.next(at_once, most, clock.room):
                search.carry_out(batch, runner, watcher or StudyWatcher(), should_stop)
                note(folder, identity, clock.spent(), journal.trials())
            identity |= {"seconds": round(clock.spent(), 1)}
            found = result.collect(sweep, folder, journal.over(), journal.importance(), identity)
            return write_results(found, folder, dataset, (watcher or StudyWatcher()).note, should_stop)


def write_results(
    found: dict[str, Any], folder: Path, dataset: Dataset, say: Callable[[str], None], should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Score the best trial on the test set if that is still to be done; write table, pictures, page and `sweep.json`.

    Raises:
        Interrupted: `should_stop` said so.
    """
    from fmnist.study.tuning import page

    best = RunDirectory(folder / found["best"]["run"])
    if not best.report.is_file():
        say(f"Scoring the best trial, {best.name}, on {plural(len(dataset.test_labels), 'test image')}")
        pipeline.resume(best, dataset, should_stop=should_stop)
        scores = results.metrics(best)
        found["best"]["test"] = {key: scores[key] for key in result.SCORES}
    write_bytes(folder / TABLE, result.markdown(found).encode())
    page.write_page(found, folder)
    write_json(folder / SWEEP_FILE, found)
    return found


def planned(trials: int | None, time_budget: float | None) -> int:
    """Return how many trials there are to be at most."""
    return trials or (TRIALS if time_budget is None else MOST_TRIALS)
