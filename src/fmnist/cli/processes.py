"""Several processes for one run: starts them on this machine; gives those that do not write the run a place to work."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from fmnist.cli import options
from fmnist.cli.terminal import QUIET, say, set_level
from fmnist.run.directory import TEMPORARY

# Seconds that the others have, once one has failed, to notice, save and end; JAX notices after 10 at the latest.
PATIENCE = 15.0


distributed_option = click.option(
    "--distributed", is_flag=True, help="Be one of several processes that Slurm, Kubernetes or MPI started."
)
processes_option = click.option(
    "--processes",
    "num_processes",
    type=click.IntRange(1),
    metavar="N",
    help="Train in N processes on this machine (JAX); 1 takes all its GPUs.",
)


def start(count: int, arguments: Sequence[str]) -> int:
    """Run `fmnist train --distributed` in so many processes, and return the exit code of the first that failed, or 0.

    The first process writes on this terminal. What another says is told where it is the first to fail. Ctrl-C and
    SIGTERM are handed on.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    command = [sys.executable, "-m", "fmnist", "train", "--distributed", *arguments]
    said = [tempfile.TemporaryFile() for _ in range(1, count)]  # noqa: SIM115 (they last as long as this process)
    children = []
    for number, (stdout, stderr) in enumerate([(None, None), *((subprocess.DEVNULL, file) for file in said)]):
        place = {"JAX_NUM_PROCESSES": f"{count}", "JAX_PROCESS_ID": f"{number}"}
        # JAX would bind to every interface.
        place |= dict.fromkeys(("JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_BIND_ADDRESS"), address)
        environment = {"KERAS_BACKEND": "jax", **os.environ, **place}
        # In a session of its own: a Ctrl-C in the terminal would reach it twice, and end it at once.
        child = subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr, start_new_session=True)
        children.append(child)

    def hand_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    failed, code = _wait(children)
    for number, handler in before.items():
        signal.signal(number, handler)
    if failed and code > 0:
        said[failed - 1].seek(0)
        say(said[failed - 1].read().decode(errors="replace").strip(), level=QUIET)
    if code < 0:
        say(f"Process {failed + 1} of {count} was ended by signal {-code}", level=QUIET)
    return code if code >= 0 else 1


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """Wait until all have ended; return which failed first, and its exit code; 0, 0 where none has failed.

    Those that have not ended some time after that are killed.
    """
    first, until = (0, 0), float("inf")
    while None in (codes := [child.poll() for child in children]):
        if not any(first) and any(codes):
            first = next((number, code) for number, code in enumerate(codes) if code)
            # Without the first process nobody saves any more.
            until = time.monotonic() + (PATIENCE if first[0] else 0.0)
        if time.monotonic() > until:
            for child in children:
                child.kill()
        time.sleep(0.05)
    return first if any(first) else next(((number, code) for number, code in enumerate(codes) if code), first)


def join() -> bool:
    """Join the other processes of the run, and return whether this is the first; what is not shows errors only."""
    from fmnist import backend

    first = backend.join()
    if not first:
        set_level(QUIET)
    return first


def scratch(runs_dir: Path, resume_name: str | None) -> tuple[Path, str | None]:
    """Return a folder for runs that is thrown away, and where in it a copy of the run to go on with lies.

    The first process writes the run. The others do the same here, and so need no rules of their own.
    """
    folder = Path(click.get_current_context().with_resource(tempfile.TemporaryDirectory(prefix="fmnist-process-")))
    if resume_name is None:
        return folder, None
    path = options.open_run(resume_name, runs_dir).path
    return folder, str(shutil.copytree(path, folder / "run", ignore=shutil.ignore_patterns(f"{TEMPORARY}*")))
