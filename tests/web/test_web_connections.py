"""Clients that are slow, silent or too many, over real sockets, and what is no HTTP."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
import time

import pytest
import uvicorn
from support.web_client import Server, bright

from fmnist.errors import InputError
from fmnist.web import Limits
from fmnist.web.connections import Crowd, bounds
from fmnist.web.listener import bind, listen
from fmnist.web.relay import Relay

HASTY = Limits(seconds=0.4, idle_seconds=2.0, requests=2)
SMALL = Limits(connections=3)


class Running:
    """A server that listens."""

    def __init__(self, listener, limits):
        self.server, self.port = Server(limits), listener.getsockname()[1]
        crowd = Crowd(limits, self.server.counters, self.server.service.is_full)
        config = uvicorn.Config(self.server.guard, http=crowd.connection, ws="none", log_level="critical",
                                timeout_keep_alive=limits.idle_seconds, timeout_graceful_shutdown=1)  # fmt: skip
        self.uvicorn, self.open = uvicorn.Server(config), []
        self.thread = threading.Thread(target=self.uvicorn.run, args=([listener],), daemon=True)
        self.thread.start()

    def connect(self, data=b""):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.open.append(connection)
        connection.sendall(data)
        return connection

    def dropped(self):
        return self.server.counters.total("dropped")


@pytest.fixture(params=[HASTY])
def running(request):
    with bind("127.0.0.1", 0) as listener:
        listen(listener)
        running = Running(listener, request.param)
        yield running
        for connection in running.open:
            connection.close()
        running.uvicorn.should_exit = True
        running.thread.join(10)


def test_nobody_can_connect_before_somebody_can_answer():
    """A proxy asks another replica at once, and waits for none that still loads its model."""
    with bind("127.0.0.1", 0) as listener, bind("127.0.0.1", listener.getsockname()[1]) as late:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=10)
        listen(listener)
        socket.create_connection(listener.getsockname(), timeout=10).close()
        with pytest.raises(InputError, match="Address already in use; give another --host or --port"):
            listen(late)


def ask(body=b"", path="/api/v1/predict", length=None):
    method = "POST" if body or length else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    return head.encode() + f"Content-Length: {length or len(body)}\r\n\r\n".encode() + body


def answer(connection):
    """Return the status and the JSON of the next answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def ends(connection, drip=b"", seconds=4.0):
    """Send a piece now and then; tell whether the server ends the connection meanwhile."""
    connection.settimeout(0.1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n"),
        (ask(path="/healthz"), b"\r\n"),
        (ask(path="/healthz") + b"GET /healthz HT", b"T"),
        (ask(b"x", "/healthz", length=100_000), b"x"),
        (ask(b"x", length=700), b"x"),
    ],
    ids=["silent", "head", "empty-lines", "second-head", "unread-body", "body"],
)
def test_who_is_slow_is_let_go(running, start, drip):
    assert ends(running.connect(start), drip)


def test_who_is_only_silent_between_two_requests_is_kept_for_longer(running):
    connection = running.connect()
    for label in (3, 4):
        connection.sendall(ask(bright(label).tobytes()))
        assert answer(connection)[1]["predictions"][0]["label"] == label
        time.sleep(1.5 * HASTY.seconds)
    assert running.dropped() == 0


def test_slow_bodies_take_nobody_s_place(running):
    slow = [running.connect(ask(b"x", length=784)) for _ in range(2 * HASTY.requests)]
    connection = running.connect(ask(bright(5).tobytes()))
    assert answer(connection)[1]["predictions"][0]["label"] == 5
    assert [answer(other)[0] for other in slow] == [408] * len(slow)


async def endless(scope, receive, send):
    """An answer of 64 MB, more than any buffer holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(64):
        await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
    await send({"type": "http.response.body"})


def test_who_does_not_take_an_answer_is_let_go(running):
    running.server.guard._page = endless
    connection = running.connect(ask(path="/config"))
    until = time.monotonic() + 10
    while not running.dropped() and time.monotonic() < until:
        time.sleep(0.05)
    assert running.dropped() == 1
    assert ends(connection)


@pytest.mark.parametrize("running", [SMALL], indirect=True)
def test_a_full_server_takes_the_place_of_the_longest_silent(running, monkeypatch):
    monkeypatch.setattr(bounds, "_GRACE", 0.1)
    first, *_ = [running.connect() for _ in range(SMALL.connections)]
    time.sleep(0.2)
    last = running.connect(ask(path="/healthz"))
    assert answer(last)[0] == 200
    assert ends(first)
    assert running.dropped() == 1


@pytest.mark.parametrize("running", [SMALL], indirect=True)
def test_nobody_gets_in_above_the_bound(running):
    inside = [running.connect() for _ in range(2 * SMALL.connections)]
    time.sleep(0.1)
    assert ends(running.connect())
    assert running.dropped() == 1
    inside[-1].sendall(ask(path="/healthz"))
    assert answer(inside[-1])[0] == 200


START = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [(b"hello\r\n\r\n", "Invalid"), (START + b"A: " + b"x" * 400_000, "65,536 bytes"),
     (START + b"A: " + b"x" * 70_000 + b"\r\n\r\n", "65,536 bytes"),
     (START + b"A: b\r\n" * 20_000 + b"\r\n", "65,536 bytes"),
     (START.replace(b"z ", b"z?" + b"x" * 70_000 + b" ") + b"\r\n", "65,536 bytes")],
    ids=["noise", "head", "whole head", "many headers", "address"],
)  # fmt: skip
def test_what_is_no_http_or_too_long_is_told_in_the_same_form(running, text, told):
    status, body = answer(running.connect(text))
    assert (status, body["error"]["code"]) == (400, "bad_parameter")
    assert told in body["error"]["message"]


def test_a_head_within_the_bound_is_taken(running):
    assert answer(running.connect(START + b"A: " + b"x" * 60_000 + b"\r\n\r\n"))[0] == 200


CHUNKED = ask(b"abc").replace(b"Content-Length: 3", b"Transfer-Encoding: chunked")[:-3]


@pytest.mark.parametrize("drip", [b"A: " + b"x" * 8000 + b"\r\n", b"x" * 8000], ids=["many", "one"])
@pytest.mark.parametrize("start", [b"3\r\nabc\r\n0\r\n", b"0\r\n"], ids=["body", "empty"])
def test_what_comes_behind_a_body_in_chunks_is_bounded_as_a_head_is(running, start, drip):
    connection, sent = running.connect(CHUNKED + start + b"A: "), 0
    connection.settimeout(10)
    with contextlib.suppress(OSError):
        while sent < 2_000_000:
            connection.sendall(drip)
            sent += len(drip)
            time.sleep(0.002)
    assert sent < 1_000_000


def test_what_comes_behind_a_body_changes_nothing(running):
    body = b"310\r\n" + bright(5).tobytes() + b"\r\n0\r\nContent-Type: image/png\r\nHost: evil.example\r\n\r\n"
    status, told = answer(running.connect(CHUNKED + body))
    assert (status, told["predictions"][0]["label"]) == (200, 5)


def test_a_body_in_tiny_chunks_is_taken(running):
    body = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in bright(5).tobytes() * 20) + b"0\r\n\r\n"
    assert len(body) > 2 * bounds._HEAD_BYTES
    assert len(answer(running.connect(CHUNKED + body))[1]["predictions"]) == 20


@pytest.mark.parametrize("running", [Limits(connections=4, streams=2)], indirect=True)
def test_streams_shut_nobody_out(running, monkeypatch):
    monkeypatch.setattr(bounds, "_GRACE", 0.1)

    async def stream(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body"})

    running.server.guard._page = stream
    streams = [running.connect(ask(path="/gradio_api/heartbeat/abc")) for _ in range(8)]
    assert [connection.recv(65536)[:15] for connection in streams] == [b"HTTP/1.1 200 OK"] * 8
    time.sleep(0.3)
    for _ in range(6):
        assert answer(running.connect(ask(path="/healthz")))[0] == 200


@pytest.mark.parametrize("running", [Limits(connections=2)], indirect=True)
def test_who_does_not_take_an_answer_makes_place(running, monkeypatch):
    monkeypatch.setattr(bounds, "_GRACE", 0.1)

    running.server.guard._page = endless
    for _ in range(4):
        running.connect(ask(path="/config"))
    time.sleep(0.5)
    assert answer(running.connect(ask(path="/healthz")))[0] == 200


def test_a_stream_that_is_passed_on_ends_when_its_reader_leaves(tmp_path):
    async def main():
        left = asyncio.Event()

        async def page(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            await reader.read()  # until the other side goes
            left.set()
            writer.close()

        messages, sent, first = [{"type": "http.request"}, {"type": "http.disconnect"}], [], asyncio.Event()

        async def receive():
            if len(messages) == 1:
                await first.wait()
            return messages.pop(0)

        async def send(message):
            sent.append(message.get("body", b""))
            if sent[-1]:
                first.set()

        scope = {"method": "GET", "raw_path": b"/gradio_api/queue/data", "query_string": b"", "headers": []}
        async with await asyncio.start_unix_server(page, tmp_path / "page"):
            await asyncio.wait_for(Relay(tmp_path / "page")(scope, receive, send), 5)
            await asyncio.wait_for(left.wait(), 5)
        return b"".join(sent)

    assert asyncio.run(main()) == b"data: 1\n\n"


def test_a_full_server_refuses_before_it_parses(running, monkeypatch):
    """A whole prediction on a connection without another request; whatever else comes goes the long way."""
    whole, parsed = ask(bright(5).tobytes()), []
    handle = bounds.HttpToolsProtocol.data_received
    monkeypatch.setattr(
        bounds.HttpToolsProtocol, "data_received", lambda self, data: (parsed.append(data), handle(self, data))[1]
    )
    held = running.server.service
    held.requests += 2  # all its places
    client = running.connect()
    for data, quick in (
        (whole, True),
        (whole, True),
        (ask(), False),
        (ask(b"x", "/api/v1/other"), False),
        (whole, True),
    ):
        client.sendall(data)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        body = json.loads(answer.read())
        if b"predict" in data and data.startswith(b"POST"):
            assert (answer.status, body["error"]["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
            assert answer.headers["cache-control"] == "no-store"
        assert (parsed == []) is quick
        parsed.clear()
    held.requests -= 2
    client.sendall(whole)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert json.loads(answer.read())["predictions"][0]["label"] == 5
    metrics = running.server.ask("GET", "/metrics").text
    assert 'fmnist_refused_total{code="overloaded"} 3' in metrics


def test_many_are_refused_in_turns(running, monkeypatch):
    """Who has left meanwhile holds up nobody."""
    monkeypatch.setattr(bounds, "_REFUSALS", 1)
    whole, service = ask(bright(5).tobytes()), running.server.service
    inside = [running.connect(ask(path="/healthz")) for _ in range(20)]
    assert [answer(connection)[0] for connection in inside] == [200] * 20
    service.requests += 2  # all its places
    for connection in inside:
        connection.sendall(whole)
    inside[3].close()
    assert [answer(connection)[0] for connection in inside[:3] + inside[4:]] == [503] * 19
    service.requests -= 2
    inside[0].sendall(whole)
    assert answer(inside[0])[1]["predictions"][0]["label"] == 5


def test_who_is_refused_and_then_silent_is_let_go(running):
    running.server.service.requests += 2
    clients = [running.connect(ask(bright(5).tobytes())), running.connect(ask(path="/healthz"))]
    assert [answer(client)[0] for client in clients] == [503, 200]
    time.sleep(0.75 * HASTY.idle_seconds)
    clients[1].sendall(ask(bright(5).tobytes()))  # the clock begins anew
    assert answer(clients[1])[0] == 503
    assert ends(clients[0], seconds=0.75 * HASTY.idle_seconds)
    clients[1].sendall(ask(path="/healthz"))
    assert answer(clients[1])[0] == 200 and running.dropped() == 1


def test_what_comes_behind_a_refused_prediction_waits_for_it(running, monkeypatch):
    monkeypatch.setattr(bounds.Crowd, "_refuse_some", lambda crowd: None)  # its turn never comes
    running.server.service.requests += 2
    one, other = running.connect(ask(bright(5).tobytes())), running.connect(ask(bright(5).tobytes()))
    time.sleep(0.2)
    one.sendall(ask(path="/healthz"))
    received = b""
    while received.count(b"HTTP/1.1 ") < 2 or not received.endswith(b"}"):
        piece = one.recv(65536)
        assert piece
        received += piece
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"503", b"200"]
    running.uvicorn.should_exit = True
    assert answer(other)[0] == 503


@pytest.mark.parametrize(
    "data",
    [
        ask(b"abc")[:-1],
        ask(b"abc") + b"x",
        ask(b"abc").replace(b"Host", b"Content-Length: 3\r\nHost"),
        ask(b"abc").replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"),
        ask(b"abc").replace(b"Host", b"Expect: 100-continue\r\nHost"),
        ask(b"abc").replace(b"Host", b"Connection: close\r\nHost"),
        ask(b"abc").replace(b": 3", b": +3"),
        ask(b"abc").replace(b"\r\n\r\n", b"\r\n"),
        ask(),
        b"",
    ],
)
def test_what_is_not_one_whole_prediction_is_parsed(data):
    assert not bounds._is_whole_prediction(data)
    assert bounds._is_whole_prediction(ask(b"abc"))
