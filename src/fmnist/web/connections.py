"""One connection of a client: how slow it may be, and how many there may be. Knows nothing of what is asked.

Uvicorn waits without end for a request that has begun, and takes everybody; a few hundred clients that send a byte now
and then ("slow loris") would keep all others out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fmnist.web.counters import Counters
from fmnist.web.problems import Problem
from fmnist.web.settings import Limits

_HEAD_BYTES = 64 * 1024
# A full server takes the place of whoever has been without a request for longer than this, in seconds.
_GRACE = 5.0


class Crowd:
    """The connections of one process.

    Attributes:
        waiting: those without a whole request, and since when; the longest first.
    """

    def __init__(self, limits: Limits, counters: Counters) -> None:
        """Begin with none."""
        self.limits, self.counters = limits, counters
        self.waiting: dict[_Connection, float] = {}

    def connection(self, **uvicorns: Any) -> _Connection:
        """Return a new member, made as Uvicorn makes its protocols."""
        return _Connection(self, **uvicorns)


class _Connection(HttpToolsProtocol):
    """Uvicorn's connection, with bounds."""

    def __init__(self, crowd: Crowd, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._crowd, self._limits = crowd, crowd.limits
        self._arriving = "head"  # the part of a request that has begun to come: "head", "body" or none
        self._timed = ""  # the part that the clock runs for
        self._head_bytes = 0
        self._clock: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        now, waiting = self.loop.time(), self._crowd.waiting
        if len(self.connections) > self._limits.connections:
            longest = next(iter(waiting), None)
            if longest is not None and now - waiting[longest] > _GRACE:
                longest.drop()
            elif len(self.connections) > 2 * self._limits.connections:
                self.drop()
                return
        waiting[self] = now
        self._time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._crowd.waiting.pop(self, None)
        self._arriving = ""
        self._time()
        self.resume_writing()

    def drop(self) -> None:
        """End the connection at once, whatever was going on."""
        self._crowd.waiting.pop(self, None)
        self._crowd.counters.add("dropped")
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._arriving == "head":
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.send_400_response(f"The request's head has more than {_HEAD_BYTES:,} bytes.")
                return
        elif not self._arriving and self.cycle.response_complete:
            self._arriving = "head"  # what came is no beginning, but has ended Uvicorn's patience with a silent client
        if not self._arriving:
            self._crowd.waiting.pop(self, None)
        self._time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving, self._head_bytes = "head", 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._arriving = "body"

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving = ""

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and not self._arriving:
            self._crowd.waiting[self] = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self._limits.idle_seconds, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the form of all errors."""
        problem = Problem("bad_parameter", msg)
        self._crowd.counters.add("refused", problem.code)
        body = problem.body()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d"
        self.transport.write(head % len(body) + b"\r\n\r\n" + body)
        self.transport.close()

    def _time(self) -> None:
        """Let the clock run for the part that is arriving; one clock for each part, however many pieces it comes in."""
        if self._timed == self._arriving:
            return
        if self._clock is not None:
            self._clock.cancel()
        self._timed, self._clock = self._arriving, None
        if self._arriving:
            # A slow body is told so by whoever reads it, after `seconds`; this is for those that nobody reads.
            seconds = self._limits.seconds * (2 if self._arriving == "body" else 1)
            self._clock = self.loop.call_later(seconds, self.drop)
