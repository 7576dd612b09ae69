"""Carries out the runs that belong together in one folder: checks what lies there, locks it, goes on, starts anew."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fmnist.config import Config, leaves, restore
from fmnist.data import decisions
from fmnist.data.dataset import Dataset
from fmnist.errors import FmnistError, InputError
from fmnist.run import results
from fmnist.run.directory import STUDY_FILE, RunDirectory, read_json, write_json
from fmnist.study.duration import forecast
from fmnist.study.runner import Job, Runner, StudyWatcher, run_in_turn
from fmnist.text import plural


def check(folder: Path, jobs: Sequence[Job], dataset: Dataset) -> dict[RunDirectory, str]:
    """Return the stored runs of the folder that were made differently than the jobs say, each with how.

    Raises:
        InputError: the folder holds a single run, or a setting leaves nothing to train on.
    """
    from fmnist import pipeline

    if RunDirectory(folder).exists():
        raise InputError(f"{folder} holds a run, not a study; choose another name")
    for _, config in jobs:
        pipeline.check(config, dataset)
    return {run: reason for run, config in jobs if run.exists() and (reason := _stale(run, config, dataset))}


@contextlib.contextmanager
def carried_out(
    folder: Path,
    jobs: Sequence[Job],
    stale: dict[RunDirectory, str],
    dataset: Dataset,
    watcher: StudyWatcher | None,
    should_stop: Callable[[], bool],
    overwrite: bool,
    runner: Runner,
) -> Iterator[None]:
    """Hold the folder's lock, carry out what is left of the jobs, and give way to what is made of them.

    Raises:
        InputError: some are `stale`, which `check` returned, and `overwrite` is not set.
        RunError: the folder is in use, or a run failed for a reason that is not its settings.
        Interrupted: `should_stop` said so.
    """
    if stale and not overwrite:
        raise InputError(_stale_message(folder, stale))
    with RunDirectory(folder).lock():
        for run in stale:
            run.config.unlink(missing_ok=True)  # so that it counts as no run, and is made again
        write_json(folder / STUDY_FILE, {"name": folder.name, "state": "running", "num_runs": len(jobs)})
        if watcher:
            # How fast it goes here tells nothing of other machines, or of several runs at once.
            here = runner is run_in_turn
            watcher.start(jobs, forecast(jobs, dataset, tell=watcher.note, should_stop=should_stop) if here else [])
        runner(jobs, dataset, watcher or StudyWatcher(), should_stop)
        yield


def _stale(run: RunDirectory, config: Config, dataset: Dataset) -> str:
    """Say in which settings a stored run differs from the plan, or nothing."""
    try:
        stored = restore(read_json(run.config))
        same_data = results.trained_on(results.environment(run), dataset.sha256)
        decided = decisions.of_run(run, dataset) if same_data else None
    except FmnistError:
        return "its files are damaged"
    was, now = leaves(stored), leaves(config)
    told = [f"{name} was {was[name]}, is {now[name]}" for name in now if was[name] != now[name]]
    if stored.preset != config.preset:
        told.insert(0, f"preset was {stored.preset}, is {config.preset}")
    if not same_data:
        told.append("other data")
    elif decided and decided.content != decisions.read_decisions(config.data.decisions, dataset).content:
        told.append("other decisions")
    return ", ".join(told)


def _stale_message(folder: Path, stale: dict[RunDirectory, str]) -> str:
    lines = [f"{run.name}: {reason}" for run, reason in stale.items()]
    more = [f"and {len(lines) - 5} more"] if len(lines) > 5 else []
    return (
        f"{plural(len(lines), 'stored run differs', 'stored runs differ')} in {folder} from what the study says now; "
        "choose another name, or make what differs again with `overwrite=True`:\n  " + "\n  ".join(lines[:5] + more)
    )
