"""Limits how slow connections may be and how many; a full server refuses predictions before it parses them.

Uvicorn waits without end for a request that has begun, and takes everybody; a few hundred clients that send a byte now
and then ("slow loris") would keep all others out. And a server that parses thousands of requests to refuse them has no
time left for those that it accepts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fmnist.web.api import HEADERS, PREDICT, json_headers
from fmnist.web.counters import Counters
from fmnist.web.problems import CLOSE, Problem, overloaded
from fmnist.web.settings import Limits

_HEAD_BYTES = 64 * 1024
# A full server takes the place of whoever has been without a request for longer than this, in seconds.
_GRACE = 5.0
# Refusals in one turn of the event loop. An accepted request takes a few turns, and whoever is refused asks again.
_REFUSALS = 32
_PREDICTION = f"POST {PREDICT} HTTP/1.1\r\n".encode()
# What changes how long a request is, or what comes after it.
_UNUSUAL = (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\nconnection:", b"\r\nupgrade:")


class Crowd:
    """The connections of one process; `full` says whether a prediction would be refused now."""

    def __init__(self, limits: Limits, counters: Counters, full: Callable[[], bool]) -> None:
        self.limits, self.counters, self.full = limits, counters, full
        self.refusal = _answer("503 Service Unavailable", overloaded())
        self.waiting: dict[_Connection, float] = {}  # those that keep us waiting, and since when; the longest first
        self.refused: deque[_Connection] = deque()  # those that are to be told so

    def refuse(self, connection: _Connection) -> None:
        """Refuse a prediction, in its turn."""
        self.refused.append(connection)
        if len(self.refused) == 1:
            asyncio.get_running_loop().call_soon(self._refuse_some)

    def _refuse_some(self) -> None:
        for connection in [self.refused.popleft() for _ in range(min(_REFUSALS, len(self.refused)))]:
            connection.tell_refused()
        if self.refused:
            asyncio.get_running_loop().call_soon(self._refuse_some)

    def connection(self, **uvicorns: Any) -> _Connection:
        """Return a new member, made as Uvicorn makes its protocols."""
        return _Connection(self, **uvicorns)


class _Connection(HttpToolsProtocol):
    """Uvicorn's connection, with bounds."""

    def __init__(self, crowd: Crowd, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._crowd, self._limits = crowd, crowd.limits
        self._arriving = "head"  # the part of a request that has begun to come: "head", "body" or none
        self._timed = ""  # the part that the clock runs for, or "idle"
        self._head_bytes = 0  # that have come since the request's beginning, or since its last piece of a body
        self._field_bytes = 0  # of its address and headers, and of what comes as such behind its body
        self._body_came = False  # with the last bytes
        self._refused = False  # a prediction, and not told yet
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
        if self._refused:  # what comes now, comes behind that
            self._crowd.refused.remove(self)
            self.tell_refused()
        elif self._crowd.full() and self._is_between() and _is_whole_prediction(data):
            self._refused, self._arriving = True, ""
            self._crowd.waiting.pop(self, None)
            self._unset_keepalive_if_required()
            self._time()
            self._crowd.refuse(self)
            return
        self._body_came = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._arriving and not self._body_came:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.send_400_response("")
                return
        elif self._is_between():
            self._arriving = "head"  # what came is no beginning, but has ended Uvicorn's patience with a silent client
        if not self._arriving:
            self._crowd.waiting.pop(self, None)
        self._time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving, self._head_bytes, self._field_bytes = "head", 0, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._arriving == "head":  # what comes behind a body in chunks changes nothing any more
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > _HEAD_BYTES:
            raise ValueError  # ends the parsing

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes, self._body_came = 0, True

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
        self._crowd.waiting.setdefault(self, self.loop.time())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
            if not self._is_between():
                self._crowd.waiting.pop(self, None)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too long a head, in the form of all errors."""
        if max(self._head_bytes, self._field_bytes) > _HEAD_BYTES:
            msg = f"The request's head has more than {_HEAD_BYTES:,} bytes."
        problem = Problem("bad_parameter", msg, CLOSE)
        self._crowd.counters.add("refused", problem.code)
        self.transport.write(_answer("400 Bad Request", problem))
        self.transport.close()

    def _is_between(self) -> bool:
        """Whether nothing of a request has come, and none waits for its answer."""
        if not self.cycle:
            return self._head_bytes == 0
        return not self._arriving and bool(self.cycle.response_complete)

    def shutdown(self) -> None:
        """End, as Uvicorn asks for."""
        if self._refused:
            self._crowd.refused.remove(self)
            self.tell_refused()
        super().shutdown()

    def tell_refused(self) -> None:
        """Refuse the prediction that has come."""
        self._refused = False
        if self.transport.is_closing():
            return
        self._crowd.counters.add("refused", "overloaded")
        self._crowd.counters.request("predict", 503)
        self.transport.write(self._crowd.refusal)
        self._crowd.waiting[self] = self.loop.time()
        # Uvicorn, which has seen no request, would wait for the next one without end.
        self._timed, self._clock = "idle", self.loop.call_later(self._limits.idle_seconds, self.drop)

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
    lines = [b"%s: %s\r\n" % header for header in (*json_headers(body), *HEADERS, *problem.headers)]
    return f"HTTP/1.1 {status}\r\n".encode() + b"".join(lines) + b"\r\n" + body
