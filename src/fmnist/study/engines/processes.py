"""The engine `processes`: plain child processes on this machine, so many at once. It needs no other package."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fmnist import system
from fmnist.errors import InputError
from fmnist.study.engines import tasks as files


class Processes:
    """Starts the next task where one has ended, whenever it is polled.

    A driver that is killed leaves its processes running, each to the end of its run; those that waited never start.
    """

    def __init__(self, place: str, *, folder: Path, threads: int, gpus: int, options: str) -> None:
        """Start nothing yet; `place` is how many run at once, by default as many as the cores give threads to.

        Raises:
            InputError: `place` is no number from 1, or there are `options`.
        """
        if options:
            raise InputError(f"the engine processes takes no options of its own, got '{options}'")
        if not (place or "1").isdecimal() or int(place or 1) < 1:
            raise InputError(f"got `engine=processes:{place}`, expected processes, or processes:2 for two at once")
        count = int(place) if place else max(1, system.cores() // threads)
        self._gpus = gpus
        self._free = list(range(count))  # places for a process; each has GPUs of its own
        self._waiting: dict[str, Path] = {}
        self._running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        self._ended: dict[str, str] = {}

    def submit(self, tasks: Sequence[Path]) -> list[str]:
        """Queue the tasks."""
        first = len(self._waiting) + len(self._running) + len(self._ended)
        handles = [str(first + number) for number in range(len(tasks))]
        self._waiting.update(zip(handles, tasks, strict=True))
        return handles

    def poll(self, handles: Sequence[str]) -> dict[str, str]:
        """Start what there is room for, and tell how each task stands."""
        for handle, (process, place) in list(self._running.items()):
            if process.poll() is not None:
                self._ended[handle] = "failed" if process.returncode else "done"
                self._free.append(place)
                del self._running[handle]
        while self._free and self._waiting:
            handle = next(iter(self._waiting))
            place = self._free.pop(0)
            self._running[handle] = self._start(self._waiting.pop(handle), place), place
        known = dict.fromkeys(self._waiting, "waiting") | dict.fromkeys(self._running, "running") | self._ended
        return {handle: known[handle] for handle in handles}

    def cancel(self, handles: Sequence[str]) -> None:
        """Forget the tasks that wait, and send SIGTERM to those that run."""
        for handle in handles:
            if self._waiting.pop(handle, None):
                self._ended[handle] = "failed"
            elif handle in self._running:
                self._running[handle][0].terminate()

    def close(self) -> None:
        """Kill what still runs."""
        for process, _ in self._running.values():
            process.kill()
            process.wait()

    def _start(self, task: Path, place: int) -> subprocess.Popen[bytes]:
        gpus = range(place * self._gpus, (place + 1) * self._gpus)
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if gpus else {}
        # In a session of its own: a Ctrl-C at the terminal is the driver's to pass on.
        with open(files.log(task), "ab") as log:
            return subprocess.Popen(
                files.command(task), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=os.environ | visible, start_new_session=True,
            )  # fmt: skip
