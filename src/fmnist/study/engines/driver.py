"""Carries out a study's runs on an engine. The files of the run directories are the truth; the engine starts workers.

What is not done and in nobody's hands is submitted, what a lost worker left is submitted again, and goes on from its
newest checkpoint. So a driver that was killed and is started again finds what is done, what is under way and what not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.data.dataset import Dataset
from fmnist.errors import FmnistError, InputError, RunError, listed
from fmnist.run import lock
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history
from fmnist.study.engines import IN_TURN, check, open_engine, tasks
from fmnist.study.runner import Job, Runner, StudyWatcher, is_done, run_in_turn
from fmnist.text import plain, plural
from fmnist.training.progress import Interrupted, Progress, Watcher

if TYPE_CHECKING:
    from fmnist.study.engines import Engine

SUBMITTED_AGAIN = 3  # times, before a run counts as failed
PERIOD = 1.0  # seconds between two looks at the engine and the files
GRACE = 60.0  # seconds in which a worker that was asked to stop saves its checkpoint


def runner_on(engine: str = IN_TURN, *, gpus: int = 0, options: str = "") -> Runner:
    """Return what carries out a study's runs, for `compare` and `cross_validate`.

    Each run gets as many processor cores as its setting `threads` says, or one.

    Args:
        engine: `in-turn` (in this process), `processes`, `processes:N` (N at once), `ray` (on this machine),
            `ray:ADDRESS` (a cluster) or `slurm`.
        gpus: of each run.
        options: of the engine's own command, such as `--partition=gpu` for Slurm.

    Raises:
        InputError: there is no such engine, or one is to be told what to do in turn.
    """
    if check(engine) == IN_TURN:
        if gpus or options:
            raise InputError(
                "`gpus` and `engine_options` are for engines, and none is named; `engine=processes` is one"
            )
        return run_in_turn
    return Driver(engine, gpus, options)


@dataclass(frozen=True)
class Driver:
    """A `Runner` that hands the runs to an engine; `runner_on` says what its fields are."""

    engine: str
    gpus: int = 0
    options: str = ""

    def __call__(
        self, jobs: Sequence[Job], dataset: Dataset, watcher: StudyWatcher, should_stop: Callable[[], bool]
    ) -> None:
        """Carry out what is left of the jobs, whose runs all lie in one folder.

        Raises:
            InputError: the engine does not take its options, or the data set is in this process's memory alone.
            RunError: the engine is not there; or a run failed four times, which is said once the others are done.
            Interrupted: `should_stop` said so; the workers have saved their runs.
        """
        left = [(run, config) for run, config in jobs if not is_done(run)]
        if not left:
            return
        folder = left[0][0].path.parent / tasks.FOLDER
        entries = [_Entry(run, tasks.write(folder, run, config, dataset), watcher) for run, config in left]
        threads = max(tasks.threads(config) for _, config in left)
        engine = open_engine(self.engine, folder=folder, threads=threads, gpus=self.gpus, options=self.options)
        try:
            _carry_out(entries, engine, should_stop)
        finally:
            engine.close()


class _Entry:
    """A run that is not done: its task, the handle that the engine gave it, and how much of its files was told."""

    def __init__(self, run: RunDirectory, task: Path, study: StudyWatcher) -> None:
        self.run, self.task, self.study = run, task, study
        self.handle = ""
        self.submitted = 0  # times
        self._watcher: Watcher | None = None  # once the run has begun
        self._told = 0  # rows of its history

    def follow(self) -> None:
        """Tell what the run's files say now, if it was not told yet."""
        if self._watcher is None:
            self._watcher = self.study.begin(self.run) or Watcher()
        if not self.run.exists():  # what else lies there is an earlier run's
            return
        try:
            rows, epochs = read_history(self.run.history), self.run.read_status()["epochs"]
        except (FmnistError, KeyError):  # not there yet
            return
        for row in rows[self._told :]:
            self._watcher.epoch(row)
        if len(rows) > self._told:
            self._watcher.segment(Progress(epochs, len(rows), history=rows))
        self._told = len(rows)


def _carry_out(left: list[_Entry], engine: Engine, should_stop: Callable[[], bool]) -> None:
    failed: list[_Entry] = []
    while True:
        handles = [entry.handle for entry in left if entry.handle]
        if should_stop():
            _stop(engine, handles)
        states = engine.poll(handles)
        lost = []
        for entry in list(left):
            # What is done is over, whatever the engine says: Slurm may call a task running whose node is lost by now.
            state, going = states.get(entry.handle, "failed"), not is_done(entry.run)
            if going and state == "waiting":
                continue
            # A run may also be in the hands of a worker that an earlier driver started.
            if going and (state == "running" or lock.is_held(entry.run.path)):
                entry.follow()
                continue
            if not is_done(entry.run) and entry.submitted <= SUBMITTED_AGAIN:
                lost.append(entry)
                continue
            left.remove(entry)
            if is_done(entry.run):
                entry.follow()
                entry.study.end(entry.run)
            else:
                failed.append(entry)
        _submit(engine, lost)
        if not left:
            break
        time.sleep(PERIOD)
    if failed:
        raise RunError(listed(f"{plural(len(failed), 'run')} failed", [_failure(entry) for entry in failed]))


def _submit(engine: Engine, entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.submitted:
            again = f"submitted again, {entry.submitted} of {SUBMITTED_AGAIN} times"
            entry.study.note(f"{entry.run.name}: its worker ended before the run was done; {again}")
        entry.submitted += 1
    handles = engine.submit([entry.task for entry in entries]) if entries else []
    for entry, handle in zip(entries, handles, strict=True):
        entry.handle = handle


def _stop(engine: Engine, handles: list[str]) -> None:
    """Let the workers save their runs, and raise `Interrupted`."""
    engine.cancel(handles)
    end = time.monotonic() + GRACE
    while time.monotonic() < end and {"waiting", "running"} & set(engine.poll(handles).values()):
        time.sleep(PERIOD / 4)
    raise Interrupted


def _failure(entry: _Entry) -> str:
    """Say which run failed, and what its worker said last."""
    log = tasks.log(entry.task)
    said = log.read_text("utf-8", "replace").split("\n") if log.is_file() else []
    last = next((line for line in reversed(said) if line.strip()), "nothing")
    return f"{entry.run.path} failed {entry.submitted} times; {log} ends in: {plain(last)[:300]}"
