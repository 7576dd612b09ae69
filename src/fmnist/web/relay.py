"""Passes requests for the page on to the one process that has it, since Gradio keeps its queue in the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from fmnist.web import bodies
from fmnist.web.problems import AGAIN, Problem

# Headers that concern one connection, not the request.
_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"date"}


class Relay:
    """An ASGI application that asks another one, at a Unix socket; not before the first request."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            # As many as there are clients, which are bounded: each open page has streams.
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=None)),
            timeout=httpx.Timeout(10, read=None),
            trust_env=False,
        )

    async def __call__(self, scope: Any, receive: bodies.Receive, send: Any) -> None:
        """Answer with what the other one answers, until that ends or the client leaves; a `Problem` if it is away."""
        # The other process puts the proxy's path before it again.
        path = scope["raw_path"].removeprefix(scope.get("root_path", "").encode())
        query = scope["query_string"]
        request = self._client.build_request(
            scope["method"],
            httpx.URL(scheme="http", host="page", raw_path=path + (b"?" + query if query else b"")),
            headers=[(name, value) for name, value in scope["headers"] if name not in _HOP],
            content=_body(receive) if scope["method"] == "POST" else None,
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise Problem("page_unavailable", "the page is starting; try again", AGAIN) from error
        headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _HOP]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        passing, leaving = asyncio.ensure_future(_pass(response, send)), asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passing.cancel()
            leaving.cancel()
            await asyncio.gather(passing, leaving, return_exceptions=True)
            await response.aclose()
        await send({"type": "http.response.body"})


async def _pass(response: httpx.Response, send: Any) -> None:
    with contextlib.suppress(httpx.TransportError):  # the other process ended: so does the answer
        async for part in response.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})


async def _left(receive: bodies.Receive) -> None:
    """Return when the client has gone: a stream of an abandoned page would stay for good."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: bodies.Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body"):
            return
