"""The line to one tracking system: a bounded queue, a thread that empties it, and the process that sends.

The process keeps libraries that load for seconds, and calls that hang, away from training.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fmnist.predictor.process import python
from fmnist.run.directory import RunDirectory

MAX_WAITING = 100  # runs with something to send; beyond, a system is too slow
Job = tuple[
    RunDirectory, RunDirectory | None, bool
]  # a run, the study whose part it is, whether nothing more will come


class Line:
    """Sends runs to one system. Of what fails, the first thing is told; the next job is tried nevertheless."""

    def __init__(self, title: str, home: str, tell: Callable[[str], None]) -> None:
        self._title, self._home, self._tell = title, home, tell
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_WAITING)
        self._waiting: set[tuple[Path, bool]] = set()
        self._child: subprocess.Popen[str] | None = None
        self._told, self._over, self._where = False, False, ""
        self._thread = threading.Thread(target=self._work, name=title, daemon=True)

    def put(self, job: Job) -> None:
        """Have a run sent, without waiting; one that waits already is not put twice, since all new is sent then."""
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
        """Wait until all is sent, or until this moment on the monotonic clock; then end the process."""
        if self._thread.ident is None:
            return
        with contextlib.suppress(queue.Full):
            self._jobs.put(None, timeout=max(0.0, end - time.monotonic()))
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            self._fail("it is too slow, and not all has been sent")
        elif self._where:
            self._tell(f"Tracked   {self._where}")
        self._over = True
        self._end()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._over:
            run, study, final = job
            self._waiting.discard((run.path, final))
            try:
                answer = self._ask(json.dumps([str(run.path), study and str(study.path), final]))
            except (OSError, ValueError):
                answer = {"problem": "its process was ended"}
                self._end()
            self._where = answer.get("where", "")
            if problem := answer.get("problem"):
                self._fail(problem)

    def _ask(self, line: str) -> dict[str, str]:
        """Give the process a job and wait for its answer; start it, if it does not run."""
        if self._child is None:
            command, pipe = [*python("fmnist.track.child:main"), self._home], subprocess.PIPE
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8"
            )
        print(line, file=self._child.stdin, flush=True)
        answer: dict[str, str] = json.loads(self._child.stdout.readline())  # type: ignore[union-attr]
        return answer

    def _end(self) -> None:
        """End the process and close its pipes."""
        child, self._child = self._child, None
        if child:
            child.kill()
            with contextlib.suppress(OSError), child:  # what it did not take is lost
                pass

    def _fail(self, problem: str) -> None:
        if not self._told:
            self._told = True
            self._tell(f"Tracking  {self._title} failed: {problem}; training is not affected")
