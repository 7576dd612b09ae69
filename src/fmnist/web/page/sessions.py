"""Bounds what Gradio keeps for pages, and drops the answers that nobody reads: it would keep those for good."""

import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

from fmnist.web import events
from fmnist.web.access import App
from fmnist.web.bodies import Receive, path_of
from fmnist.web.problems import AGAIN, Problem

_DATA = "/gradio_api/queue/data"
# A page asks for its answers at once, and gets five messages for an event, two of them of 50 kB.
_UNREAD_SECONDS, _UNREAD_SESSIONS, _UNREAD_MESSAGES = 60.0, 50, 50


class Sessions:
    """An ASGI application around `app`, which is Gradio's; `queue` is its queue, which may hold `most` bytes."""

    def __init__(self, app: App, queue: Any, most: int) -> None:
        self._app, self._queue, self._most = app, queue, most
        self._readers: Counter[str] = Counter()  # streams of a session
        self._unread: dict[str, float] = {}  # sessions without one, and since when; the longest first

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        """Answer one request, or refuse it with a `Problem`."""
        path = path_of(scope)
        if path == events.JOIN:
            session = scope["session"]
            messages = self._queue.pending_messages_per_session.get(session)
            waiting = self._queue.event_ids_to_events.values()
            held = sum(len(value) for event in waiting for value in event.data.data if isinstance(value, str))
            if held > self._most or (messages and messages.qsize() > _UNREAD_MESSAGES):
                raise Problem("overloaded", "too many events of pages are waiting; try again", AGAIN)
            await self._app(scope, receive, send)
        elif path == _DATA:
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            if session not in self._queue.pending_messages_per_session:
                raise Problem("not_found", "no answer is waiting for this page")
            self._readers[session] += 1
            self._unread.pop(session, None)
            try:
                await self._app(scope, receive, send)
            finally:
                self._readers -= Counter([session])
        else:
            await self._app(scope, receive, send)
            return
        if not self._readers[session]:
            self._unread.pop(session, None)
            self._unread[session] = time.monotonic()
        await self._forget()

    async def _forget(self) -> None:
        for session, since in list(self._unread.items()):
            if len(self._unread) <= _UNREAD_SESSIONS and time.monotonic() - since < _UNREAD_SECONDS:
                break
            del self._unread[session]
            await self._queue.clean_events(session_hash=session)
            self._queue.pending_messages_per_session.pop(session, None)
            for event in self._queue.pending_event_ids_session.pop(session, ()):
                self._queue.event_ids_to_events.pop(event, None)
