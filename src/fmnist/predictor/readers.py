"""Reads picture files in processes of their own, so that a file that stalls or breaks its decoder costs nobody else.

Such a process does the work of `predictor/decoder.py`. It has no stderr: what decoders write there a file can make
endless. Knows no model, and imports little, so that processes can be started before anything slow is imported.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import weakref
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fmnist.errors import InputError, RunError
from fmnist.images.cutout import CutOut
from fmnist.predictor.process import end, python

if TYPE_CHECKING:
    import numpy as np

    from fmnist.data.preparation import Preparation
    from fmnist.data.shape import Shape

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

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all processes, and do not wait the quarter of a second that this takes."""
        for process in [self._idle.get() for _ in range(self._idle.qsize())]:
            self._idle.put(self._living(process))

    def read(
        self,
        content: bytes,
        name: str,
        image_shape: Shape,
        how: Preparation | None = None,
        seconds: float = math.inf,
    ) -> tuple[np.ndarray, CutOut]:
        """Return a picture file, which messages call by `name`, as `examine` does: uint8 (H, W, C), and the facts.

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
                answer, levels = _ask(process, job | {"bytes": len(content)}, content)
            except (OSError, ValueError):  # the pipe is broken, or ends within the answer
                process.kill()
                ending = end(process.wait())
                why = f"takes more than {seconds:.3g} s" if ending == "SIGALRM" else f"ended its process ({ending})"
                answer, levels = {"problem": f"{name}: cannot be read: decoding it {why}"}, b""
                with contextlib.suppress(OSError, RunError):
                    process = self._living(process)  # for the next file
        finally:
            self._idle.put(process)
        if "problem" in answer:
            raise InputError(answer["problem"])
        import numpy as np

        return np.frombuffer(levels, np.uint8).reshape(image_shape), CutOut(**answer)

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
        command, pipe = python("fmnist.predictor.decoder:main"), subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=variables)
        self._running.append(process)
        return process


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        with contextlib.suppress(OSError), processes.pop() as process:
            process.kill()


def _ask(process: subprocess.Popen[bytes], job: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the `problem` of a picture file, or the facts of its cut-out, and the picture's bytes.

    Raises OSError or ValueError if the process ends.
    """
    jobs: Any = process.stdin
    answers: Any = process.stdout
    jobs.write(json.dumps(job).encode() + b"\n")
    jobs.write(content)
    jobs.flush()
    answer = json.loads(answers.readline(_MAX_ANSWER_BYTES))
    size = 0 if "problem" in answer else math.prod(job["shape"])
    levels = answers.read(size)
    if len(levels) != size:
        raise ValueError
    return answer, levels
