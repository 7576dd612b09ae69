"""Carries out one task: loads the data, checks that it is the driver's, and does what the run still lacks."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fmnist import backend
from fmnist.config import restore
from fmnist.data.dataset import load_official, read_folder
from fmnist.errors import Diverged, InputError
from fmnist.run.directory import RunDirectory, read_json
from fmnist.study.runner import complete, is_done
from fmnist.text import plain
from fmnist.training.progress import Interrupted, Watcher


class _Log(Watcher):
    """Writes what happens as lines."""

    def epoch(self, row: dict[str, float]) -> None:
        _say(", ".join(f"{name} {value:.6g}" for name, value in row.items()))

    def note(self, text: str) -> None:
        _say(text)


def main(argv: list[str] | None = None) -> None:
    """Carry out the task that the last argument names. SIGTERM and SIGINT save a checkpoint, and end it with 143."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        work(Path((argv or sys.argv)[-1]), stop.is_set)
    except Interrupted:
        sys.exit(128 + signal.SIGTERM)


def work(path: Path, should_stop: Callable[[], bool]) -> None:
    """Do what the run of a task file still lacks; nothing where it is done. A run that diverges is done.

    Raises:
        InputError: the data is not the driver's, or no data is there.
        RunError: the run is in use, or it failed.
        Interrupted: `should_stop` said so; the run is saved.
    """
    task = read_json(path)
    os.environ.update(task["environment"])
    os.chdir(task["working_directory"])
    run, config = RunDirectory(task["run"]), restore(task["config"])
    _say(f"{run.path} in process {os.getpid()} on {socket.gethostname()}")
    if is_done(run):
        return
    backend.prepare(replace(config.engine, threads=task["threads"]), lean=True)
    dataset = read_folder(task["data"]) if task["data"] else load_official()
    if dataset.sha256 != task["data_sha256"]:
        raise InputError(f"{dataset.source} holds other data on {socket.gethostname()} than where the study was begun")
    with contextlib.suppress(Diverged):
        complete(run, config, dataset, _Log(), should_stop)


def _say(text: str) -> None:
    print(plain(text), flush=True)
