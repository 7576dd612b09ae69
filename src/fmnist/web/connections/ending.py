"""Stops a server so that no request that it accepted is lost."""

import asyncio
import signal
import socket
import time
from types import FrameType

import uvicorn

from fmnist.web.service import Service

# After nobody can connect any more: for who has just connected to send a request, and for open connections to be told.
_PARTING_SECONDS = 0.5


class EndingServer(uvicorn.Server):
    """Uvicorn, which stops in steps: first it is not ready, then it accepts no connections, then it ends."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._deaf_at = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends at once."""
        if sig == signal.SIGINT:
            return  # a terminal's Ctrl-C goes to every process; the parent tells its own
        if self._service.stopping:
            self.should_exit = self.force_exit = True
        self._service.stopping = True
        self._deaf_at = time.monotonic() + self._service.limits.drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Tell balancers and streams once it stops, and accept no more when it is time."""
        if self._service.stopping:
            self._service.counters.put("ready", 0)
            self._service.streams.close()
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
