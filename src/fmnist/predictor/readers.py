"""Reads picture files in processes of their own, so that a file that stalls or breaks its decoder costs nobody else.

Such a process has bounds on memory and on the seconds that a file may take. It has no stderr: what decoders write there
a file can make endless. Knows no model.
"""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import weakref
from dataclasses import asdict
from typing import Any

import numpy as np

from fmnist.data.preparation import Preparation
from fmnist.errors import InputError, RunError, first_line
from fmnist.images import decode, prepare
from fmnist.predictor.process import Bounds, end, limit, python

_BOUNDS = Bounds(memory=2 * 2**30, seconds=math.inf)  # of a process; the seconds are those of each file
_MAX_ANSWER_BYTES = 2**16  # without the picture; a problem names the file


class Readers:
    """A few processes that turn picture files into pictures of models' form; any number of threads may ask.

    They start when they are needed, or with `start`, and are replaced when they end. `close` ends them, whatever they
    are doing.
    """

    def __init__(self, count: int = 1, seconds: float = 60.0) -> None:
        """Prepare `count` processes, of which each gives `seconds` to a file."""
        self._seconds = seconds
        self._running: list[subprocess.Popen[bytes]] = []
        self._idle: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self.close = weakref.finalize(self, _kill, self._running)

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all processes, and do not wait the half second that this takes."""
        for process in [self._idle.get() for _ in range(self._idle.qsize())]:
            self._idle.put(self._living(process))

    def read(
        self,
        content: bytes,
        name: str,
        image_shape: tuple[int, int],
        how: Preparation | None = None,
        seconds: float = math.inf,
    ) -> np.ndarray:
        """Return a picture file, which messages call by `name`, as `prepare` makes it: uint8 (H, W).

        Raises:
            InputError: it is no picture, takes longer than `seconds`, or ends the process that reads it.
            RunError: the processes have been ended.
        """
        seconds = min(seconds, self._seconds)
        process = self._idle.get()
        try:
            process = self._living(process)
            job = {"name": name, "shape": image_shape, "how": how and asdict(how), "seconds": seconds}
            try:
                problem, levels = _ask(process, job | {"bytes": len(content)}, content)
            except (OSError, ValueError):  # the pipe is broken, or ends within the answer
                process.kill()
                ending = end(process.wait())
                why = f"takes more than {seconds:.3g} s" if ending == "SIGALRM" else f"ended its process ({ending})"
                problem, levels = f"{name}: cannot be read: decoding it {why}", b""
                with contextlib.suppress(OSError, RunError):
                    process = self._living(process)  # for the next file
        finally:
            self._idle.put(process)
        if problem is not None:
            raise InputError(problem)
        return np.frombuffer(levels, np.uint8).reshape(image_shape)

    def _living(self, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
        """Return a process that runs, a new one unless this one does."""
        if process is not None and process.poll() is None:
            return process
        if not self.close.alive:
            raise RunError("no more pictures are read")
        if process is not None:
            self._running.remove(process)
            _kill([process])
        variables = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # which would take address space for each core
        command, pipe = python("fmnist.predictor.readers:main"), subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=variables)
        self._running.append(process)
        return process


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        with contextlib.suppress(OSError), processes.pop() as process:
            process.kill()


def _ask(process: subprocess.Popen[bytes], job: dict[str, Any], content: bytes) -> tuple[str | None, bytes]:
    """Return what is wrong with a picture file, or None, and the picture's bytes; OSError or ValueError if it ends."""
    jobs: Any = process.stdin
    answers: Any = process.stdout
    jobs.write(json.dumps(job).encode() + b"\n")
    jobs.write(content)
    jobs.flush()
    problem = json.loads(answers.readline(_MAX_ANSWER_BYTES))
    levels = answers.read(0 if problem else math.prod(job["shape"]))
    if not problem and len(levels) != math.prod(job["shape"]):
        raise ValueError
    return problem, levels


def main() -> None:
    """Read the pictures that come on stdin, one after the other, until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal or a service manager: our parent ends us
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit(_BOUNDS)
    while line := sys.stdin.buffer.readline():
        job = json.loads(line)
        content = sys.stdin.buffer.read(job["bytes"])
        how = None if job["how"] is None else Preparation(**job["how"])
        levels, problem = b"", None
        _alarm(job["seconds"])
        try:
            levels = prepare(decode(content, job["name"]), tuple(job["shape"]), how).tobytes()
        except InputError as error:
            problem = str(error)
        except Exception as error:
            problem = f"{job['name']}: cannot be prepared: {first_line(error)}"
        _alarm(0)
        answers.write(json.dumps(problem).encode() + b"\n" + levels)
        answers.flush()


def _alarm(seconds: float) -> None:
    """Let the system end this process in so many seconds, whatever it is doing; never, with 0."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)
