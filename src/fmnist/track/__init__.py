"""Sends runs to tracking systems while they are trained. A system that fails or is slow neither stops nor delays them.

    with fmnist.Tracking(["mlflow"]) as tracking:
        fmnist.train(config, dataset, "runs/first", watcher=tracking.watch("runs/first"))

A system is a class in a file of its own and a row of `SYSTEMS`. It reads the run directory, sends what it has not sent
yet, and knows nothing of training.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.errors import FmnistError, InputError, RunError, did_you_mean, first_line
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.track.line import Line
from fmnist.training.progress import Progress, Watcher

if TYPE_CHECKING:
    from fmnist.data.dataset import Dataset

PATIENCE = 60.0  # seconds that the end of a command may wait for what has not been sent
HASTE = 3.0  # the same after Ctrl-C, SIGTERM or an error


@dataclass(frozen=True)
class System:
    """A row of the table: a tracking system."""

    title: str
    home: str  # `module:class`; a `child.Sender`
    packages: tuple[str, ...]  # what it imports; `pip install 'fmnist[track]'` brings them
    formats: tuple[str, ...] = ()  # exported files that it keeps


# The name is also that of the attribute of `RunDirectory` that says where the system leaves its trace in a run.
SYSTEMS = {
    "tensorboard": System("TensorBoard", "fmnist.track.tensorboard:TensorBoard", ("tensorboardX",)),
    "mlflow": System(
        "MLflow", "fmnist.track.mlflow:MLflow", ("mlflow", "pandas", "sqlalchemy", "alembic"), ("litert",)
    ),
}


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
        self._lines = [Line(SYSTEMS[name].title, SYSTEMS[name].home, tell) for name in self.names]
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


__all__ = ["SYSTEMS", "System", "Tracking", "check", "tracked_by"]
