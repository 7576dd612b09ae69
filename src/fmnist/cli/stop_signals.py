"""Ctrl-C and SIGTERM: lets a long command save its work before it ends."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType
from typing import Any

from fmnist.cli.terminal import say


class StopSignals:
    """Remembers the first Ctrl-C or SIGTERM, so that training can save its work; a second one ends at once.

    Who sends SIGTERM often sends SIGKILL soon after, so it has an end: where the work is not saved within 6 seconds (a
    cold start of TensorFlow, a segment of very slow steps), the process ends with what the last checkpoint has. Listens
    only within a `with` block.
    """

    seconds = 6.0

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}
        self._over = threading.Event()

    def __enter__(self) -> StopSignals:
        """Listen."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        # Python's own handler waits until the main thread comes back from a computation; this thread does not.
        hears, self._tells = socket.socketpair()
        self._tells.setblocking(False)
        self._woken = signal.set_wakeup_fd(self._tells.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(hears,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._over.set()
        signal.set_wakeup_fd(self._woken)
        self._tells.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        self.received = number
        say("\nStopping: saving the work so far (a second Ctrl-C stops at once)")

    def _watch(self, hears: socket.socket) -> None:
        """End the process a while after SIGTERM, unless nobody listens any more."""
        with hears:
            while number := hears.recv(1):
                if number[0] == signal.SIGTERM and not self._over.wait(self.seconds):
                    say("Not saved in time; --resume continues from the last checkpoint")
                    os._exit(128 + signal.SIGTERM)

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None
