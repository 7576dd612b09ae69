"""Slurm: the tasks of one submission are a job array, on a cluster whose nodes share the study's folder.

An array's script stays beside the task files, and the array has its name in the queue. So a new driver finds what an
earlier one, which was killed, left in the queue, and submits only the rest. No accounting database is needed.
"""

import functools
import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from fmnist.errors import InputError, RunError
from fmnist.run.directory import write_bytes
from fmnist.study.engines import tasks
from fmnist.text import plain

# Slurm's names (man squeue) of the states that are not a failure.
_STATES = dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"), "waiting")
_STATES |= dict.fromkeys(("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"), "running")
_STATES |= {"COMPLETED": "done"}
_IN_QUEUE = ("waiting", "running")
_MAX_ARRAY = 1000  # tasks of an array: Slurm's MaxArraySize is 1001 where a cluster doesn't set it, and counts from 0
_PAUSE = 3.0  # seconds between two questions: one controller answers all users of a cluster
_PATIENCE = 600.0  # seconds without an answer, as while the controller is restarted
_NOT_SHARED = 66  # exit code of a script that does not find itself in the study's folder
_COLUMNS = ("ArrayJobID", "ArrayTaskID", "State", "Name", "exit_code", "BatchHost")
_SCRIPT = """#!/bin/sh
[ -f {script} ] || exit {not_shared}
case $SLURM_ARRAY_TASK_ID in
{cases}
esac
"""


class Slurm:
    """The engine that submits to the cluster whose commands are on the path."""

    def __init__(self, place: str, *, folder: Path, threads: int, gpus: int, options: str) -> None:
        """Check what was given and submit nothing; see `open_engine`."""
        if place:
            raise InputError(f"got `engine=slurm:{place}`, expected slurm; Slurm's configuration says which cluster")
        try:
            given = shlex.split(options)
        except ValueError as error:
            raise InputError(f"got `engine_options={options}` ({error}), expected options of sbatch") from error
        for name in ("sbatch", "squeue", "scancel"):
            if not shutil.which(name):
                mend = "start this on a machine from which the cluster takes jobs"
                raise RunError(f"the engine slurm needs the command '{name}', which is not on the path; {mend}")
        # The driver submits a lost task again at once; Slurm would hold it for two minutes first.
        self._options = ["--no-requeue", f"--cpus-per-task={threads}"]
        self._options += [f"--gres=gpu:{gpus}"] if gpus else []
        self._options += given
        self._folder = folder.resolve()
        self._states: dict[str, str] = {}  # by handle: the array's number, a _ and the task's index in the array
        self._asked = self._answered = time.monotonic()

    def submit(self, files: Sequence[Path]) -> list[str]:
        """Submit what is not in the queue yet; see `Engine`."""
        lines = [f"exec {shlex.join(tasks.command(file))} >>{shlex.quote(str(tasks.log(file)))} 2>&1" for file in files]
        queue = [(handle, name) for handle, name in self._ask() if self._states[handle] in _IN_QUEUE]
        handles = {self._line(handle, name): handle for handle, name in queue}
        new = [line for line in lines if line not in handles]
        for first in range(0, len(new), _MAX_ARRAY):
            handles |= self._submit(new[first : first + _MAX_ARRAY])
        return [handles[line] for line in lines]

    def poll(self, handles: Sequence[str]) -> dict[str, str]:
        """Return how tasks stand; see `Engine`.

        Raises:
            RunError: Slurm has not answered for ten minutes, or a node does not see the study's folder.
        """
        if time.monotonic() - self._asked > _PAUSE:
            try:
                self._ask()
            except _NoAnswer:
                if time.monotonic() - self._answered > _PATIENCE:
                    raise
        return {handle: self._states.get(handle, "failed") for handle in handles}

    def cancel(self, handles: Sequence[str]) -> None:
        """Take waiting tasks from the queue and send SIGTERM to running ones; see `Engine`.

        Slurm kills what is left after its `KillWait`, 30 seconds where a cluster does not set it.
        """
        if handles:
            subprocess.run(["scancel", *handles], capture_output=True, check=False)  # some may have ended meanwhile

    def close(self) -> None:
        """Cancel what is left."""
        self.cancel([handle for handle, state in self._states.items() if state in _IN_QUEUE])

    def _script(self, name: str) -> Path:
        return self._folder / f"{name}.sh"

    def _line(self, handle: str, name: str) -> str:
        """Return what a task of a stored script does."""
        return _lines(self._script(name))[int(handle.partition("_")[2])]

    def _submit(self, lines: list[str]) -> dict[str, str]:
        """Submit one array; return the handle of each line."""
        name = f"fmnist-{uuid.uuid4().hex[:8]}"
        script = self._script(name)
        cases = "\n".join(f"{index}) {line} ;;" for index, line in enumerate(lines))
        text = _SCRIPT.format(script=shlex.quote(str(script)), not_shared=_NOT_SHARED, cases=cases)
        write_bytes(script, text.encode())
        own = ["--parsable", f"--job-name={name}", f"--array=0-{len(lines) - 1}", "--output=/dev/null"]
        job = _call("sbatch", *self._options, *own, str(script)).strip().split(";")[0]
        handles = {line: f"{job}_{index}" for index, line in enumerate(lines)}
        self._states |= dict.fromkeys(handles.values(), "waiting")
        return handles

    def _ask(self) -> list[tuple[str, str]]:
        """Note how the tasks of this folder's arrays stand; return handle and script of each that Slurm knows."""
        self._asked = time.monotonic()
        names = ",".join(script.stem for script in self._folder.glob("fmnist-*.sh"))
        if not names:
            return []
        columns = "--Format=" + ",".join(f"{name}:|" for name in _COLUMNS)
        rows = _call("squeue", "--me", "--noheader", "--array", "--states=all", "--name", names, columns).splitlines()
        self._answered = time.monotonic()
        # Slurm forgets ended tasks after some minutes. One that was in the queue and is not known any more has failed.
        before, self._states = self._states, {key: end for key, end in self._states.items() if end not in _IN_QUEUE}
        known, blind = [], ""
        for row in rows:
            job, index, state, name, code, node = row.rstrip("|").split("|")
            handle = f"{job}_{index}"
            # With a code it has ended; its node, where it was lost meanwhile, may stay COMPLETING for long.
            ended = state == "COMPLETING" and int(code)
            self._states[handle] = "failed" if ended else _STATES.get(state, "failed")
            known.append((handle, name))
            if int(code) >> 8 == _NOT_SHARED and before.get(handle) in _IN_QUEUE:
                blind = node
        if blind:
            mend = "choose a folder for the runs that all nodes share"
            raise RunError(f"Slurm's node {blind} does not see the folder {self._folder}; {mend}")
        return known


class _NoAnswer(RunError):
    """One of Slurm's commands failed."""


@functools.cache
def _lines(script: Path) -> list[str]:
    """Return what each task of a stored script does."""
    return re.findall(r"^\d+\) (.*) ;;$", script.read_text("utf-8"), re.MULTILINE)


def _call(*command: str) -> str:
    """Return what one of Slurm's commands prints, or raise a `_NoAnswer` that says what it was and why it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise _NoAnswer(plain(f"{shlex.join(command)[:200]}: {said}"))
    return done.stdout
