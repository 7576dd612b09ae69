"""Decides who may ask for what, by host, origin, token and path; gives answers their headers and errors one form.

A path that is not listed here does not exist for the outside, whichever paths Gradio adds.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from fmnist.web import api, bodies, events, hosts
from fmnist.web.problems import CLOSE, KINDS, Problem
from fmnist.web.service import Place, Service
from fmnist.web.settings import Settings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, bodies.Receive, Send], Awaitable[None]]

_log = logging.getLogger("uvicorn.error")
EXPORTS = "/exports/"
"""Under it the page offers files, each by its SHA-256."""
_STREAMS = re.compile(rf"/gradio_api/(queue/data|heartbeat/{events.SESSION})")
_PAGE_GET = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static)/[\w./-]+"
    r"|/gradio_api/(theme\.css|startup-events)|/exports/[0-9a-f]{64}|" + _STREAMS.pattern
)
_OPEN = frozenset({api.HEALTH, api.READY})  # asked by balancers: any host, no token
# The codes of an application's own errors, by status.
_CODES = {404: "not_found", 403: "not_found", 405: "method_not_allowed", 422: "bad_form", 503: "overloaded"}
# What the page sends is a picture as base64, and little else.
_SHARE_OF_BASE64 = 1.4

# Gradio writes styles and scripts into the page and compiles its templates there.
_PAGE_HEADERS = [
    *api.COMMON_HEADERS,
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; object-src 'none'; "
        b"base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
]


class Guard:
    """An ASGI application around `app`, and around `page` for the paths of the page."""

    def __init__(self, app: App, page: App | None, service: Service, settings: Settings) -> None:
        self._app, self._page, self._service = in_one_form(app), page, service
        self._counters, self.root_path = service.counters, settings.root_path
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.origins)
        self._hosts, self._private = hosts.known(settings), hosts.private(settings)
        self._token = hashlib.sha256(settings.token.encode()).digest() if settings.token else b""
        self._page_bytes = int(_SHARE_OF_BASE64 * settings.limits.body_bytes)

    async def __call__(self, scope: Message, receive: bodies.Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = bodies.path_of(scope), scope["method"]
        ours = path in api.PATHS
        route = {api.PREDICT: "predict", api.MODEL: "model"}.get(path, "other" if ours else "page")
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        extra = list(api.HEADERS if ours else _PAGE_HEADERS)
        started = False

        async def send_more(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                self._counters.request(route, message["status"])
                if self._service.closing:
                    extra.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        try:
            if sum(name == b"host" for name, _ in scope["headers"]) > 1:  # a proxy may have read the other one
                raise Problem("bad_parameter", "the request has more than one Host header; expected one")
            allowed = self._check(path, headers, method)
            if allowed:
                extra += [(b"access-control-allow-origin", allowed.encode()), (b"vary", b"Origin")]
                if method == "OPTIONS":
                    extra.append((b"access-control-allow-methods", b"GET, POST"))
                    extra.append((b"access-control-allow-headers", b"Authorization, Content-Type"))
                    await _answer(send_more, 204)
                    return
            if ours and scope["query_string"] and path not in _OPEN:
                name = unquote_plus(scope["query_string"].decode("latin-1").split("&")[0].split("=")[0])
                raise Problem(
                    "bad_parameter", f"got the query parameter '{name[:100]}'; {path} takes none: leave it out"
                )
            if route == "predict" and method == "POST":
                await self._predict(scope, receive, send_more)
            elif ours:
                await self._app(scope, receive, send_more)
            else:
                await self._for_page(path, method, scope, receive, send_more)
        except bodies.Gone:
            return
        except Exception as error:
            if started:
                raise
            if isinstance(error, Problem):
                problem = error
            else:
                _log.exception("a request failed")
                problem = Problem("internal", "a mistake of the server; its log has more")
            self._counters.add("refused", problem.code)
            body = problem.body()
            await _answer(send_more, problem.status, [*api.json_headers(body), *problem.headers], body)

    async def _predict(self, scope: Message, receive: bodies.Receive, send: Send) -> None:
        """Answer without FastAPI, whose way to a function takes as long as the model; it only describes this path."""
        try:
            body = await self._service.predict(scope["headers"], receive)
        except (Problem, bodies.Gone):
            raise
        except Exception as error:  # each runtime has its own
            _log.exception("the model failed")
            raise Problem("internal", "the model gave no answer; the server's log has more") from error
        await _answer(send, 200, api.json_headers(body), body)

    def _check(self, path: str, headers: dict[str | bytes, str], method: str) -> str:
        """Refuse whoever may not ask; return the foreign origin that may, or an empty string."""
        host = headers.get(b"host", "").lower()
        if path in _OPEN:
            return ""
        if self._hosts is not None and hosts.name(host) not in self._hosts:
            unknown = f"the request is meant for '{host[:100]}', which this server is not known as"
            raise Problem("unknown_host", f"{unknown}; start it with --origin to add a name")
        origin = headers.get(b"origin", "").lower()
        foreign = bool(origin) and origin.partition("//")[2] != host
        allowed = origin if foreign and origin in self._origins else ""
        if foreign and not allowed and method not in ("GET", "HEAD"):
            raise Problem("foreign_origin", f"pages of '{origin[:100]}' may not ask; --origin allows one")
        if self._token and not (allowed and method == "OPTIONS"):
            self._check_token(headers.get(b"authorization", ""))
        return allowed

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":  # what a browser asks its user for; any name will do
            try:
                given = b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                given = ""
        elif scheme.lower() != "bearer":
            given = ""
        # Digests are compared, so that neither content nor length shows in the time.
        if not hmac.compare_digest(hashlib.sha256(given.strip().encode()).digest(), self._token):
            schemes = (b'Basic realm="fmnist", charset="UTF-8"', b"Bearer")
            challenges = [(b"www-authenticate", scheme) for scheme in schemes]
            raise Problem("unauthorized", "expected 'Authorization: Bearer TOKEN'", challenges)

    async def _for_page(self, path: str, method: str, scope: Message, receive: bodies.Receive, send: Send) -> None:
        known = path in events.PATHS if method == "POST" else bool(_PAGE_GET.fullmatch(path)) and ".." not in path
        if path == events.TEACH and not (self._private and hosts.asked_here(scope)):
            known = False
        if self._page is None or not known:
            raise Problem("not_found", f"there is nothing at {path[:200]}")
        if method not in ("GET", "HEAD", "POST"):
            raise Problem("method_not_allowed", f"{path} takes no {method}", [(b"allow", b"GET, HEAD, POST")])
        if method == "POST":
            receive = await self._checked_body(path, scope, receive)
        if not _STREAMS.fullmatch(path):
            await self._page(scope, receive, send)
            return
        with self._service.streams.open(receive) as receive:
            await self._page(scope, receive, send)

    async def _checked_body(self, path: str, scope: Message, receive: bodies.Receive) -> bodies.Receive:
        """Read a body of the page's, and check what is in it."""
        place = Place(self._service, bodies.announced(scope["headers"], self._page_bytes))
        try:
            async with asyncio.timeout(self._service.limits.seconds):
                body = await bodies.read_body(receive, self._page_bytes, place.grow)
        except TimeoutError as error:
            raise Problem("slow_body", "the body did not arrive in time", CLOSE) from error
        finally:
            place.leave()
        scope["session"] = events.check(path, body)
        read = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return read.pop() if read else await receive()

        return again


async def _answer(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": body})


def in_one_form(app: App) -> App:
    """Return an application that answers as `app` does, but raises its errors as problems."""

    async def ask(scope: Message, receive: bodies.Receive, send: Send) -> None:
        status, headers = 0, []

        async def select(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], message.get("headers", [])
            if status < 400:
                await send(message)

        path = bodies.path_of(scope) if scope["type"] == "http" else ""
        try:
            await app(scope, receive, select)
        except Problem:
            raise
        except Exception as error:
            if 0 < status < 400 or scope["type"] != "http":
                raise
            if isinstance(error, KeyError) and path == events.JOIN:  # no event of the page has this number
                status = 422
            else:
                _log.exception("a request failed")
                status = 500
        if status >= 400:
            code = _CODES.get(status, "internal" if status >= 500 else "bad_parameter")
            allow = [(name, value) for name, value in headers if name == b"allow"]
            raise Problem(code, f"{KINDS[code].meaning}: {scope['method']} {path[:200]}", allow)

    return ask
