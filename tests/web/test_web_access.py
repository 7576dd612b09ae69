import asyncio
import base64
import json

import pytest
from support.web_client import RAW, Server, asgi, bright

from fmnist.web import Limits, access, events
from fmnist.web.access import in_one_form
from fmnist.web.problems import KINDS, Problem
from fmnist.web.streams import Streams

TOKEN = "a-token-of-enough-letters"


@pytest.fixture(scope="module")
def server():
    return Server()


@pytest.fixture(scope="module")
def guarded():
    return Server(token=TOKEN, origins=("https://shop.example",))


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:7860", "LOCALHOST:1"])
def test_a_server_on_the_loopback_knows_its_names(server, host):
    assert server.ask("GET", "/api/v1/model", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:80"])
def test_and_no_others(server, host):
    """A page whose name is made to point to the loopback (DNS rebinding) gets nothing."""
    assert code(server.ask("GET", "/api/v1/model", headers={"host": host})) == (421, "unknown_host")
    assert server.ask("GET", "/healthz", headers={"host": host}).status_code == 200


def test_two_hosts_are_one_too_many(server):
    """Whoever stands before us may have looked at the other one."""
    headers = [("host", "evil.example"), ("host", "127.0.0.1:7860")]
    assert code(server.ask("GET", "/api/v1/model", headers=headers)) == (400, "bad_parameter")


def test_an_open_server_takes_any_name_until_it_is_told_its_own():
    ask = lambda server: server.ask("GET", "/api/v1/model", headers={"host": "10.0.0.7"}).status_code  # noqa: E731
    assert ask(Server(host="0.0.0.0")) == 200
    assert ask(Server(host="0.0.0.0", origins=("https://shop.example",))) == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[", "http://localhost:9999", "http://127.0.0.1:78600"]
)
def test_pages_from_elsewhere_may_not_ask(server, origin):
    answer = server.predict(content=bytes(784), headers=RAW | {"origin": origin})
    assert code(answer) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_may_and_a_named_one(server, guarded):
    assert server.labels(content=bright(1).tobytes(), headers=RAW | {"origin": "http://127.0.0.1:7860"}) == [1]
    headers = {"origin": "https://shop.example", "authorization": f"Bearer {TOKEN}"}
    answer = guarded.predict(content=bytes(784), headers=RAW | headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    first = guarded.ask("OPTIONS", "/api/v1/predict", headers={"origin": "https://shop.example"})
    assert (first.status_code, first.headers["access-control-allow-methods"]) == (204, "GET, POST")
    assert guarded.ask("OPTIONS", "/api/v1/predict", headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {TOKEN}x",
        f"Token {TOKEN}",
        "Basic !",
        "Basic " + base64.b64encode(b"x").decode(),
    ],
)
def test_without_the_token_there_is_nothing(guarded, authorization):
    for path in ("/api/v1/model", "/metrics", "/", "/gradio_api/queue/join", "/api/v1/openapi.json"):
        answer = guarded.ask("GET", path, headers={"authorization": authorization})
        assert code(answer) == (401, "unauthorized")
        assert "Bearer" in answer.headers["www-authenticate"]
    assert guarded.ask("GET", "/readyz").status_code == 200


def test_the_token_opens_also_as_a_browser_s_password(guarded):
    for given in (f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()):
        assert guarded.ask("GET", "/api/v1/model", headers={"authorization": given}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/healthz"), ("POST", "/api/v1/predict"), ("GET", "/nothing")])
def test_every_answer_carries_the_security_headers(server, method, path):
    headers = server.ask(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src" in headers["content-security-policy"]
    assert "server" not in headers


class Page:
    """Stands for Gradio: says that it was reached."""

    def __init__(self):
        self.reached, self.bodies = [], []

    async def __call__(self, scope, receive, send):
        self.reached.append(scope["path"])
        if scope["method"] == "POST":
            self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def page(server):
    server.guard._page = Page()
    yield server.guard._page
    server.guard._page = None


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/file=/etc/passwd", "/gradio_api/upload",
     "/gradio_api/proxy=http://10.0.0.1/", "/gradio_api/stream/x/1/2/playlist.m3u8", "/monitoring", "/gradio_api/info",
     "/gradio_api/run/predict", "/gradio_api/call/look", "/gradio_api/dev/reload", "/gradio_api/component_server",
     "/gradio_api/vibe-code/", "/gradio_api/process_recording", "/login", "/gradio_api/runs", "/gradio_api/token",
     "/assets/../../etc/passwd", "/static/%2e%2e/x", "/exports/../config.json", "/exports/" + "g" * 64, "/svelte/x",
     "/custom_component/x/client/component/index.js", "/gradio_api/deep_link", "/gradio_api/queue/join/"],
)  # fmt: skip
def test_gradio_s_other_doors_are_shut(server, page, path):
    for method in ("GET", "POST"):
        assert code(server.ask(method, path)) == (404, "not_found")
    assert page.reached == []


@pytest.mark.parametrize("path", ["/", "/config", "/assets/index-1.js", "/theme.css", "/exports/" + "0" * 64])
def test_what_the_page_needs_is_open(server, page, path):
    assert server.ask("GET", path).status_code == 200
    assert page.reached == [path]
    assert server.ask("DELETE", path).status_code == 405


EVENT = {
    "fn_index": 0,
    "session_hash": "abc",
    "trigger_id": 3,
    "event_data": {"row": 1, "column": 2},
    "data": ["data:image/png;base64,AAAA" + "A" * 5000, None, 3, "a name", True],
}
FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    ("path", "event"),
    [(events.JOIN, EVENT), (events.JOIN, EVENT | {"event_data": None}), (events.RESET, {"event_id": "a1"}),
     (events.CANCEL, {"event_id": "a1", "session_hash": "abc", "fn_index": 2})],
)  # fmt: skip
def test_an_event_of_the_page_arrives_as_it_was_sent(server, page, path, event):
    assert server.ask("POST", path, json=event).status_code == 200
    assert json.loads(page.bodies[0]) == event


LONG = "x" * 9_000_000
BAD_EVENTS = [
    {"data": [FILE]}, {"data": [{"url": "http://10.0.0.1/", "path": "x"}]}, {"data": [["a"]]}, {"data": "x"},
    {"event_data": {"row": FILE}}, {"event_data": [FILE]}, {"data": [0] * 200}, {"data": [[LONG]]}, {"data": [LONG]},
    {"data": [10**400]}, {"session_hash": LONG}, {"session_hash": ["a"]}, {"session_hash": None}, {"session_hash": ""},
    {"fn_index": "0"}, {"fn_index": -1}, {"fn_index": [LONG]}, {"trigger_id": LONG}, {"event_data": LONG},
    {"event_data": {LONG: 1}}, {"simple_format": True}, {"oauth_token": LONG}, {"event_id": "a"},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_EVENTS, ids=range(len(BAD_EVENTS)))
def test_an_event_that_could_name_a_file_or_is_too_long_does_not_arrive(server, page, change):
    answer = server.ask("POST", events.JOIN, json=EVENT | change)
    assert code(answer) == (422, "bad_form")
    assert len(answer.content) < 1000 and page.reached == []


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{}", b"", b"\xff", b"[" * 1_000_000, b'{"data":' * 100_000])
def test_what_is_no_event_is_refused(body):
    for path in events.PATHS:
        with pytest.raises(Problem, match="no event of the page"):
            events.check(path, body)


@pytest.mark.parametrize("path", ["/gradio_api/queue/data", "/gradio_api/heartbeat/abc"])
def test_a_stream_ends_when_the_server_does_or_too_many_have_come(path):
    server, ended = Server(Limits(streams=2)), []

    async def stream(scope, receive, send):
        ended.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def silent():
        await asyncio.sleep(60)

    async def work():
        tasks = [asyncio.create_task(asgi(server.guard, [], silent, path, "GET")) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert [task.done() for task in tasks] == [True, True, True, False, False]  # the oldest
        server.service.streams.close()
        tasks.append(asyncio.create_task(asgi(server.guard, [], silent, path, "GET")))
        await asyncio.wait_for(asyncio.gather(*tasks), 5)

    server.guard._page = stream
    asyncio.run(work())
    assert ended == ["http.disconnect"] * 6


def test_a_stream_gets_what_its_client_sends():
    async def work():
        async def receive():
            return {"type": "http.request"}

        with Streams(1).open(receive) as taken:
            return await taken()

    assert asyncio.run(work()) == {"type": "http.request"}


def test_codes_have_one_status_each_and_messages():
    assert all(400 <= kind.status < 600 and kind.meaning for kind in KINDS.values())


@pytest.mark.parametrize(
    ("status", "headers", "expected", "allow"),
    [(404, [], (404, "not_found"), None), (403, [], (404, "not_found"), None), (418, [], (400, "bad_parameter"), None),
     (405, [(b"allow", b"GET"), (b"x-secret", b"1")], (405, "method_not_allowed"), "GET"),
     (503, [], (503, "overloaded"), None), (502, [], (500, "internal"), None)],
)  # fmt: skip
def test_an_application_s_own_errors_take_the_form_of_all(server, status, headers, expected, allow):
    async def refuse(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"a secret path"})

    server.guard._page = in_one_form(refuse)
    answer = server.ask("GET", "/config")
    server.guard._page = None
    assert code(answer) == expected
    assert answer.headers.get("allow") == allow
    assert "secret" not in answer.text + str(answer.headers)


def test_an_application_that_fails_is_told_without_its_text(server, monkeypatch):
    logged = []
    monkeypatch.setattr(access._log, "exception", logged.append)

    async def fail(scope, receive, send):
        raise RuntimeError("a secret path")

    server.guard._page = in_one_form(fail)
    answer = server.ask("GET", "/config")
    server.guard._page = None
    assert code(answer) == (500, "internal")
    assert "secret" not in answer.text
    assert logged == ["a request failed"]


def test_a_mistake_before_anything_is_decided_has_the_form_of_all(server, monkeypatch):
    monkeypatch.setattr(access._log, "exception", lambda text: None)
    monkeypatch.setattr(server.guard, "_check", lambda *arguments: 1 / 0)
    assert code(server.ask("GET", "/api/v1/model")) == (500, "internal")
