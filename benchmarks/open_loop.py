"""An HTTP client that sends at a fixed rate, answered or not, as many users at once do; to 127.0.0.1 only.

Each request takes a free connection or opens a new one. A request is `unsent` if 2,000 connections are open and busy.
Its latency counts from the moment at which the client turns to it, connecting included. The client's lag is how much
later than due that moment comes. It is reported too: with a lag of many milliseconds the client itself is overloaded.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop

_MOST_OPEN = 2000
_PATIENCE = 15.0


class _Connection(asyncio.Protocol):
    def __init__(self, client: "_Client") -> None:
        self.client, self.begun, self.sent, self.data = client, 0.0, False, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def ask(self, begun: float) -> None:
        self.begun, self.sent, self.data = begun, True, b""
        self.transport.write(self.client.request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.client.answered(int(head[9:12]), self.begun)
        self.sent = False
        if b"connection: close" in lower:
            self.transport.close()
        else:
            self.client.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.client.open -= 1
        if self.sent:
            self.client.counts["lost"] += 1
        elif self in self.client.free:
            self.client.free.remove(self)


class _Client:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname != "127.0.0.1":
            raise ValueError("only this machine is loaded")
        self.port, self.open = parts.port, 0
        body = np.random.default_rng(0).integers(0, 256, 784, np.uint8).tobytes()
        self.request = (
            b"POST /api/v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: 784\r\n\r\n" + body
        )
        self.free: list[_Connection] = []
        self.counts: Counter[str] = Counter()
        self.latencies: dict[int, list[float]] = {}
        self.lags: list[float] = []

    def answered(self, status: int, begun: float) -> None:
        self.counts[str(status)] += 1
        self.latencies.setdefault(status, []).append(time.monotonic() - begun)

    def send(self, due: float) -> Coroutine[Any, Any, None] | None:
        """Send a request; return what opens a connection for it, where none is free and one more may be open."""
        begun = time.monotonic()
        self.lags.append(begun - due)
        while self.free:
            connection = self.free.pop()
            if not connection.transport.is_closing():
                connection.ask(begun)
                return None
        if self.open >= _MOST_OPEN:
            self.counts["unsent"] += 1
            return None
        self.open += 1
        return self.connect(begun)

    async def connect(self, begun: float) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), "127.0.0.1", self.port
            )
        except OSError:  # nobody listens: not accepted
            self.open -= 1
            self.counts["refused connection"] += 1
            return
        connection.ask(begun)


def send(url: str, rate: float, seconds: float, after: tuple[float, Callable[[], None]] | None = None) -> dict:
    """Send requests of one picture at a rate.

    Args:
        url: of the server, on 127.0.0.1.
        rate: requests a second.
        seconds: for how long.
        after: seconds, and what to do then.

    Returns:
        `rate`; `sent_per_second`; `counts` (answers by status, `lost`, `unsent`, `refused connection`, `unanswered`);
        for each status the 50th and 99th percentile of the latency, and the 99th of the client's lag, in milliseconds.
    """

    async def run() -> dict:
        client, loop = _Client(url), asyncio.get_running_loop()
        started, number, tasks = time.monotonic(), 0, set()
        if after:
            loop.call_later(after[0], after[1])
        while time.monotonic() - started < seconds:
            due_until = int((time.monotonic() - started) * rate)
            for _ in range(number, due_until):
                if opening := client.send(started + number / rate):
                    task = loop.create_task(opening)
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                number += 1
            await asyncio.sleep(0.001)
        took = time.monotonic() - started
        until = time.monotonic() + _PATIENCE
        while client.open > len(client.free) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        client.counts["unanswered"] = client.open - len(client.free)
        spans = {
            status: {f"p{share}_ms": round(1000 * float(np.percentile(values, share)), 2) for share in (50, 99)}
            for status, values in client.latencies.items()
        }
        return {
            "rate": round(rate, 1),
            "sent_per_second": round((number - client.counts["unsent"]) / took, 1),
            "counts": dict(client.counts),
            "latencies": {str(status): span for status, span in spans.items()},
            "lag_p99_ms": round(1000 * float(np.percentile(client.lags, 99)), 2),
        }

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
