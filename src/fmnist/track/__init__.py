"""Sends runs to tracking systems while they are trained. A system that fails or is slow neither stops nor delays them.

    with fmnist.Tracking(["mlflow"]) as tracking:
        fmnist.train(config, dataset, "runs/first", watcher=tracking.watch("runs/first"))

A system is a class in a file of its own and a row of `SYSTEMS`. It reads the run directory, sends what it has not sent
yet, and knows nothing of training.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmnist.errors import FmnistError, InputError, RunError, did_you_mean, first_line
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.training.progress import Progress, Watcher

if TYPE_CHECKING:
    from fmnist.data.dataset import Dataset

PATIENCE = 60.0  # seconds that the end of a command may wait for what has not been sent
HASTE = 3.0  # the same after Ctrl-C, SIGTERM or an error
MAX_WAITING = 100  # runs with something to send; beyond, a system is too slow


@dataclass(frozen=True)
class System:
    """A row of the table: a tracking system."""

    title: str
    home: str  # `module:class`; of its objects, one a run, see `Sender`
    packages: tuple[str, ...]  # what it imports; `pip install 'fmnist[track]'` brings them
    formats: tuple[str, ...] = ()  # exported files that it keeps


# The name is also that of the attribute of `RunDirectory` that says where the system leaves its trace in a run.
SYSTEMS = {
    "tensorboard": System("TensorBoard", "fmnist.track.tensorboard:TensorBoard", ("tensorboardX",)),
    "mlflow": System("MLflow", "fmnist.track.mlflow:MLflow", ("mlflow", "pandas", "sqlalchemy", "alembic"), ("litert",)),
}


class Sender(Protocol):
    """Sends one run, or a study's folder, to a system. Made as `Sender(run, study)`: the study whose part it is."""

    def send(self, final: bool) -> None:
        """Send what has not been sent yet; `final`: the results too, since nothing more will come."""

    def where(self) -> str:
        """Return where the run can be looked at, or the command that shows it."""


def check(names: Sequence[str]) -> None:
    """Check that these systems can be used, without loading them.

    Raises:
        InputError: there is no such system.
        RunError: a package is missing.
    """
    for name in names:
        if name not in SYSTEMS:
            hint = did_you_mean(name, [*SYSTEMS])
            raise InputError(f"there is no tracking system '{name}'{hint}; expected some of {', '.join(SYSTEMS)}")
        if missing := [package for package in SYSTEMS[name].packages if importlib.util.find_spec(package) is None]:
            raise RunError(
                f"tracking with {SYSTEMS[name].title} needs '{missing[0]}', which is not installed; install it with: "
                "pip install 'fmnist[track]'"
            )


def tracked_by(run: RunDirectory) -> list[str]:
    """Return the systems that a run has been sent to, so that they get the rest when it is resumed."""
    return [name for name in SYSTEMS if getattr(run, name).exists()]


class Tracking:
    """Sends runs to tracking systems, each from a thread of its own. The end of a `with` block sends what is left.

    It waits for that no longer than a minute, and 3 seconds after an error. Of all that fails, each system tells the
    first thing, once; with the next epoch it tries again.

    Args:
        names: of systems in `SYSTEMS`; none is fine.
        tell: gets a line for the user: what failed, and where the runs can be looked at.

    Raises:
        InputError: there is no such system.
        RunError: a package is missing.
    """

    def __init__(self, names: Sequence[str], tell: Callable[[str], None] = print) -> None:
        check(names)
        self.names, self._tell = tuple(dict.fromkeys(names)), tell
        self._lines = [_Line(SYSTEMS[name], tell) for name in self.names]
        self._open: dict[Path, tuple[RunDirectory, RunDirectory | None]] = {}

    def watch(self, run: RunDirectory | str | Path, study: RunDirectory | None = None) -> Watcher:
        """Return what training is to tell about a run, which may be one of a study in this folder."""
        run = run if isinstance(run, RunDirectory) else RunDirectory(run)
        return _RunWatcher(self, run, study)

    def send(self, run: RunDirectory, study: RunDirectory | None = None, *, final: bool = False) -> None:
        """Send what is new in a run; `final`: its results too."""
        if final:
            self._open.pop(run.path, None)
        else:
            self._open[run.path] = (run, study)
        for line in self._lines:
            line.put((run, study, final))

    def export(self, run: RunDirectory, dataset: Dataset) -> None:
        """Write the exported files that the systems keep and a run does not have yet; a failure is told."""
        from fmnist.export.exporter import export_run

        there = {row["format"] for row in results.exports(run).get("files", [])}
        wanted = dict.fromkeys(name for system in self.names for name in SYSTEMS[system].formats if name not in there)
        if not wanted:
            return
        self._tell(f"Exporting the model as {', '.join(wanted)} for tracking")
        try:
            with run.lock():
                export_run(run, dataset, tuple(wanted))
        except FmnistError as error:
            self._tell(f"Tracking  the model is left out: {first_line(error)}")

    def __enter__(self) -> Tracking:
        """Nothing has begun yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send the results of the runs that were watched."""
        for run, study in [*self._open.values()]:
            self.send(run, study, final=True)
        end = time.monotonic() + (PATIENCE if kind is None else HASTE)
        for line in self._lines:
            line.close(end)


class _RunWatcher(Watcher):
    """Says that there is something new in a run."""

    def __init__(self, tracking: Tracking, run: RunDirectory, study: RunDirectory | None) -> None:
        self._send = lambda: tracking.send(run, study)

    def start(self, progress: Progress, steps: int) -> None:
        self._send()

    def epoch(self, row: dict[str, float]) -> None:
        self._send()


Job = tuple[RunDirectory, RunDirectory | None, bool]


class _Line:
    """A thread that sends to one system what its queue says. Putting something there never waits."""

    def __init__(self, system: System, tell: Callable[[str], None]) -> None:
        self._system, self._tell, self._told = system, tell, False
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_WAITING)
        self._waiting: set[tuple[Path, bool]] = set()
        self._senders: dict[Path, Sender] = {}
        self._where = ""
        self._thread = threading.Thread(target=self._work, name=system.title, daemon=True)

    def put(self, job: Job) -> None:
        """Have a run sent; one that waits to be sent is not put there twice, since all that is new is sent at once."""
        key = (job[0].path, job[2])
        if key in self._waiting:
            return
        if self._thread.ident is None:
            self._thread.start()
        try:
            self._waiting.add(key)
            self._jobs.put_nowait(job)
        except queue.Full:
            self._waiting.discard(key)
            self._fail("it is too slow, and a run is left out")

    def close(self, end: float) -> None:
        """Wait until all is sent, or until this moment on the monotonic clock."""
        if self._thread.ident is None:
            return
        try:
            self._jobs.put(None, timeout=max(0.0, end - time.monotonic()))
        except queue.Full:
            pass
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            self._fail("it is too slow, and not all has been sent")
        elif self._where:
            self._tell(f"Tracked   {self._where}")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            run, study, final = job
            self._waiting.discard((run.path, final))
            try:
                if run.path not in self._senders:
                    self._senders[run.path] = pkgutil.resolve_name(self._system.home)(run, study)
                self._senders[run.path].send(final)
                self._where = self._senders[run.path].where()
            except Exception as error:
                self._fail(first_line(error))
                self._where = ""
                final = True  # what was sent is asked for again
            if final:
                self._senders.pop(run.path, None)

    def _fail(self, problem: str) -> None:
        """Tell the first failure."""
        if not self._told:
            self._told = True
            self._tell(f"Tracking  {self._system.title} failed: {problem}; training is not affected")


__all__ = ["SYSTEMS", "System", "Tracking", "check", "tracked_by"]
