"""Engines: where the runs of a study are carried out. Each takes task files and tells how they stand, nothing else.

A task file is JSON, and all that a worker needs: `tasks.py` writes it, `worker.py` does what it says. Which runs are
left, and what is submitted again, is for `driver.py`; the files of the run directories are the truth.
"""

import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fmnist.errors import InputError, did_you_mean

IN_TURN = "in-turn"
# Where each engine is; imported when it is asked for. `make(place, folder=…, threads=…, gpus=…, options=…)` opens it.
ENGINES = {
    "processes": "fmnist.study.engines.processes:Processes",
    "ray": "fmnist.study.engines.ray:Ray",
    "slurm": "fmnist.study.engines.slurm:Slurm",
}
FORMS = f"{IN_TURN}, processes, processes:N, ray, ray:ADDRESS or slurm"


class Engine(Protocol):
    """Carries out tasks somewhere, each in a process of its own, which writes to `tasks.log(task)`."""

    def submit(self, tasks: Sequence[Path]) -> list[str]:
        """Hand in task files, absolute paths; return a handle for each.

        Raises:
            RunError: the engine refuses them or cannot be reached.
        """

    def poll(self, handles: Sequence[str]) -> dict[str, str]:
        """Return `waiting`, `running`, `done` or `failed` of each handle; what is not known any more has `failed`."""

    def cancel(self, handles: Sequence[str]) -> None:
        """Ask tasks to stop, with SIGTERM or SIGINT, so that each can save its checkpoint. Returns at once."""

    def close(self) -> None:
        """End what is left of the tasks, and what the engine itself started."""


def check(text: str) -> str:
    """Return what `--engine` names, before anything slow.

    Raises:
        InputError: there is no such engine.
    """
    name = text.partition(":")[0]
    if text != IN_TURN and name not in ENGINES:
        raise InputError(f"got `engine={text}`, expected {FORMS}{did_you_mean(name, [IN_TURN, *ENGINES])}")
    return text


def open_engine(text: str, *, folder: Path, threads: int, gpus: int, options: str) -> Engine:
    """Return the engine that `--engine` names.

    Args:
        text: `processes`, `processes:N`, `ray`, `ray:ADDRESS` or `slurm`: a name, and after a colon its place.
        folder: in which the task files lie, and where the engine may keep files of its own.
        threads: processor cores of each task, 1 or more.
        gpus: of each task, 0 or more.
        options: passed on to the engine's own command, as a shell would read them.

    Raises:
        InputError: there is no such engine, or its place or options are not what it takes.
        RunError: it is not installed or cannot be reached.
    """
    name, _, place = check(text).partition(":")
    make = pkgutil.resolve_name(ENGINES[name])
    engine: Engine = make(place, folder=folder, threads=threads, gpus=gpus, options=options)
    return engine
