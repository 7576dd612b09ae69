"""One connection of a client: how slow it may be, how many there may be, and what is refused at the door.

Uvicorn waits without end for a request that has begun, and takes everybody; a few hundred clients that send a byte now
and then ("slow loris") would keep all others out. And a server that parses two thousand requests to refuse them has no
time left for those that it accepts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fmnist.web import api
from fmnist.web.counters import Counters
from fmnist.web.guard import API_HEADERS
from fmnist.web.problems import Problem, overloaded
from fmnist.web.settings import Limits

_HEAD_BYTES = 64 * 1024
# A full server takes the place of whoever has been without a request for longer than this, in seconds.
_GRACE = 5.0
# After there was no place for a prediction, few connections are kept and let in for so long, in seconds.
_BUSY_SECONDS = 1.0
# So long a newcomer who is refused may take to ask and to leave.
_DOOR_SECONDS = 2.0
_PREDICTION = f"POST {api.PREDICT} HTTP/1.1\r\n".encode()
# What changes how long a request is, or what comes after it.
_UNUSUAL = (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\nconnection:", b"\r\nupgrade:")


class Crowd:
    """The connections of one process.

    Attributes:
        waiting: those without a whole request, and since when; the longest first.
        doors: how many newcomers are being refused.
    """

    def __init__(self, limits: Limits, counters: Counters, full: Callable[[], bool]) -> None:
        """Begin with none; `full` says whether a prediction would be refused now."""
        self.limits, self.counters, self._full = limits, counters, full
        self._refusal = _answer("503 Service Unavailable", overloaded())
        self._farewell = _answer("503 Service Unavailable", overloaded([(b"connection", b"close")]))
        self._busy_until = 0.0
        self.waiting: dict[_Connection, float] = {}
        self.doors = 0

    def connection(self, **uvicorns: Any) -> asyncio.Protocol:
        """Return a new member, made as Uvicorn makes its protocols; or what refuses it."""
        members = uvicorns["server_state"].connections
        now = time.monotonic()
        if self.too_many(len(members) + 1, now) and self.longest_silent(now) is None:
            return _Door(self)
        return _Connection(self, **uvicorns)

    def is_full(self) -> bool:
        """Whether a prediction would be refused now."""
        if full := self._full():
            self._busy_until = time.monotonic() + _BUSY_SECONDS
        return full

    def too_many(self, members: int, now: float) -> bool:
        """Whether so many connections are more than can be served while predictions have to be refused.

        Each of them asks again as soon as it is answered; who is accepted waits until all the others are refused.
        """
        return members > self.limits.busy_connections and now < self._busy_until

    def longest_silent(self, now: float) -> _Connection | None:
        """Return who has been without a request for longer than others should have to wait for a place, if any."""
        longest = next(iter(self.waiting), None)
        return longest if longest is not None and now - self.waiting[longest] > _GRACE else None

    def refuse(self, transport: asyncio.Transport, members: int) -> bool:
        """Refuse a prediction; return whether that was also the connection's end."""
        ends = members > self.limits.busy_connections
        self._tell(transport, "predict", self._farewell if ends else self._refusal)
        return ends

    def send_away(self, transport: asyncio.Transport) -> None:
        """Refuse a newcomer."""
        self._tell(transport, "other", self._farewell)

    def _tell(self, transport: asyncio.Transport, route: str, refusal: bytes) -> None:
        self.counters.add("refused", "overloaded")
        self.counters.request(route, 503)
        transport.write(refusal)


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
        now, members = time.monotonic(), len(self.connections)
        if members > self._limits.connections or self._crowd.too_many(members, now):
            longest = self._crowd.longest_silent(now)
            if longest is not None:
                longest.drop()
            elif members + self._crowd.doors > 2 * self._limits.connections:
                self.drop()
                return
        self._crowd.waiting[self] = now
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
        if self._crowd.is_full() and self._is_between() and _is_whole_prediction(data):
            self._refuse()
            return
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._arriving == "head":
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.send_400_response(f"The request's head has more than {_HEAD_BYTES:,} bytes.")
                return
        elif self._is_between():
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
            self._crowd.waiting[self] = time.monotonic()

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
        problem = Problem("bad_parameter", msg, [(b"connection", b"close")])
        self._crowd.counters.add("refused", problem.code)
        self.transport.write(_answer("400 Bad Request", problem))
        self.transport.close()

    def _is_between(self) -> bool:
        """Whether nothing of a request has come, and none waits for its answer."""
        if not self.cycle:
            return self._head_bytes == 0
        return not self._arriving and bool(self.cycle.response_complete)

    def _refuse(self) -> None:
        """Refuse a prediction before it is parsed: a tenth of the time, and so there is time left for the others."""
        self._crowd.waiting.pop(self, None)
        self._arriving = ""
        if self._crowd.refuse(self.transport, len(self.connections)):
            self.transport.close()
            return
        self._crowd.waiting[self] = time.monotonic()
        self._time()

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


class _Door(asyncio.Protocol):
    """Whoever comes while the server is busy: told so at the first byte, whatever is asked, and heard out."""

    transport: asyncio.Transport

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._told = crowd, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._crowd.doors += 1
        if self._crowd.doors > self._crowd.limits.connections:
            self._crowd.counters.add("dropped")
            transport.abort()
        self._clock = asyncio.get_running_loop().call_later(_DOOR_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._told:
            self._told = True
            self._crowd.send_away(self.transport)
            self.transport.write_eof()  # closed at once, with bytes unread, the answer could be lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.doors -= 1
        self._clock.cancel()


def _is_whole_prediction(data: bytes) -> bool:
    """Whether bytes are one request for a prediction, all of it, and nothing else."""
    if not data.startswith(_PREDICTION):
        return False
    head, _, body = data.partition(b"\r\n\r\n")
    head = head.lower()
    length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    usual = head.count(b"\r\ncontent-length:") == 1 and not any(name in head for name in _UNUSUAL)
    return usual and length == b"%d" % len(body)


def _answer(status: str, problem: Problem) -> bytes:
    body = problem.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    lines = [b"%s: %s\r\n" % header for header in (*headers, *API_HEADERS, *problem.headers)]
    return f"HTTP/1.1 {status}\r\n".encode() + b"".join(lines) + b"\r\n" + body
