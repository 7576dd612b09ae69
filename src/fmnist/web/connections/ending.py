"""Stops a server so that no request that it accepted is lost."""

import asyncio
import signal
import socket
import time
from types import FrameType

import uvicorn

from fmnist.web.bodies import Receive
from fmnist.web.service import Service

# After nobody can connect any more: for who has just connected to send a request, and for open connections to be told.
_PARTING_SECONDS = 0.5


class EndingServer(uvicorn.Server):
    """Uvicorn, which stops in steps: first it is not ready, then it accepts no connections, then it ends.

    A `worker` is one of several processes, which SIGINT does not end.
    """

    def __init__(self, config: uvicorn.Config, service: Service, *, worker: bool) -> None:
        super().__init__(config)
        self._service, self._worker = service, worker
        self._deaf_at = float("inf")
        self.signal = 0  # what ended it

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends at once."""
        if sig == signal.SIGINT and self._worker:
            return  # a terminal's Ctrl-C goes to every process; the parent tells its own
        if self.signal:
            self.should_exit = self.force_exit = True
        self.signal = sig
        self._service.stopping = True
        # Whoever pressed Ctrl-C is waiting.
        self._deaf_at = time.monotonic() + (0 if sig == signal.SIGINT else self._service.limits.drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Tell balancers and streams once it stops, and accept no more when it is time."""
        if self._service.stopping:
            self._service.counters.put("ready", 0)
            self._service.stopped.set()
            self.should_exit |= time.monotonic() >= self._deaf_at
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell that requests are taken."""
        # With a second handle on each listener, its queue can still be emptied when Uvicorn has let go of it.
        self._spare = [listener.dup() for listener in sockets or []]
        await super().startup(sockets)
        self._service.counters.add("starts")
        self._service.counters.put("ready", 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take whoever has connected already, let nobody else in, and tell everybody that the connection ends."""
        for server in self.servers:
            server.close()
        for listener in self._spare:
            await self._take_waiting(listener)
            listener.close()
        self._service.closing = True
        await asyncio.sleep(_PARTING_SECONDS)
        await super().shutdown(sockets)

    async def _take_waiting(self, listener: socket.socket) -> None:
        """Accept the connections that the kernel has made for us: it resets them when the last handle is closed."""
        loop, config = asyncio.get_running_loop(), self.config
        listener.setblocking(False)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # none is left
                return
            await loop.connect_accepted_socket(
                lambda: config.http_protocol_class(  # type: ignore[call-arg]
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                connection,
            )


def end_with_server(receive: Receive, stopped: asyncio.Event) -> Receive:
    """Return a stream's `receive` that also ends when the server does: a page that is left open must not hold it up."""

    async def next_message() -> object:
        coming, stop = asyncio.ensure_future(receive()), asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if stop.done() else coming.result()
        finally:
            coming.cancel()
            stop.cancel()

    return next_message
