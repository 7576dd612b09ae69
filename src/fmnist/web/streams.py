"""Bounds the streams that open pages hold, and ends them: a page that is left open must not hold up the server."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from fmnist.web.bodies import Receive


class Streams:
    """The streams that are open in this process: `most` of them, so that the oldest ends for each further one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ends: list[asyncio.Event] = []  # of each stream, the oldest first
        self._closed = False

    @contextlib.contextmanager
    def open(self, receive: Receive) -> Iterator[Receive]:
        """Give the `receive` of a new stream, which says that the client is gone when the stream is to end."""
        end = asyncio.Event()
        self._ends.append(end)
        for old in self._ends[: -self._most]:
            old.set()
        if self._closed:
            end.set()
        try:
            yield _ending(receive, end)
        finally:
            self._ends.remove(end)

    def close(self) -> None:
        """End all streams, and those that are still to come."""
        self._closed = True
        for end in self._ends:
            end.set()


def _ending(receive: Receive, end: asyncio.Event) -> Receive:
    async def next_message() -> Any:
        coming, stop = asyncio.ensure_future(receive()), asyncio.ensure_future(end.wait())
        try:
            await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if stop.done() else coming.result()
        finally:
            coming.cancel()
            stop.cancel()

    return next_message
