import asyncio
import base64
import json
import re
import signal
import sys
import time

import numpy as np
import pytest
from support.breaking import break_readers
from support.web_client import JSON, NAMES, RAW, Model, Server, asgi, bright, png

from fmnist.errors import RunError
from fmnist.web import Limits
from fmnist.web import server as web_server
from fmnist.web.batcher import LARGEST, Batcher
from fmnist.web.counters import Counters
from fmnist.web.problems import KINDS


@pytest.fixture(scope="module")
def server():
    return Server()


def files(*contents):
    return [("image", (f"../../{number}.php", content)) for number, content in enumerate(contents)]


def test_every_form_of_body_gets_the_model_s_answers(server):
    pictures = [bright(label) for label in (3, 0, 9)]
    expected = server.predictor.probabilities(np.stack(pictures))
    forms = [
        {"content": b"".join(picture.tobytes() for picture in pictures), "headers": RAW},
        {"json": {"images": [picture.tolist() for picture in pictures]}},
        {"files": files(*map(png, pictures))},
    ]
    for form in forms:
        rows = server.predict(**form).json()["predictions"]
        assert [row["label"] for row in rows] == [3, 0, 9]
        assert [row["class"] for row in rows] == ["class 3", "class 0", "class 9"]
        assert np.allclose([row["probabilities"] for row in rows], expected, atol=1e-6)
        assert [row["probability"] for row in rows] == [max(row["probabilities"]) for row in rows]
    assert server.labels(content=png(bright(7)), headers={"content-type": "image/png"}) == [7]


def test_the_model_and_its_limits(server):
    assert server.ask("GET", "/api/v1/model").json() == {
        "format": "litert", "run": "tried", "class_names": list(NAMES), "image_shape": [28, 28],
        "max_body_bytes": 10_000_000, "max_pictures": 64,
    }  # fmt: skip


SQUARE = bright(0).tolist()
BAD = [
    ("body_too_large", {"content": bytes(10_000_001), "headers": RAW}),
    ("too_many_pictures", {"content": bytes(65 * 784), "headers": RAW}),
    ("too_many_pictures", {"json": {"images": [SQUARE] * 65}}),
    ("too_many_pictures", {"files": files(*[b"x"] * 1000)}),
    ("body_too_large", {"content": b'{"images": [' + b" " * 2_000_000 + b"]}", "headers": JSON}),
    ("unsupported_media_type", {"content": b"hello", "headers": {"content-type": "text/plain"}}),
    ("unsupported_media_type", {"content": b"<svg/>", "headers": {"content-type": "image/svg+xml"}}),
    ("unsupported_media_type", {"content": bytes(784)}),
    ("no_picture", {"content": b"", "headers": RAW}),
    ("no_picture", {"json": {"images": []}}),
    ("no_picture", {"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    ("no_picture", {"content": b"", "headers": {"content-type": "image/png"}}),
    ("bad_array", {"content": bytes(783), "headers": RAW}),
    ("bad_array", {"json": {"images": [[1]]}}),
    ("bad_array", {"json": {"images": [[*SQUARE[:27], [*SQUARE[0][:27], 256]]]}}),
    ("bad_array", {"json": {"images": [[*SQUARE[:27], [*SQUARE[0][:27], 0.5]]]}}),
    ("bad_array", {"json": {"images": [[*SQUARE[:27], [*SQUARE[0][:27], True]]]}}),
    ("bad_form", {"json": [SQUARE]}),
    ("bad_form", {"json": {"images": "x"}}),
    ("bad_form", {"content": b"{", "headers": JSON}),
    ("bad_form", {"content": b"\xff\xfe", "headers": JSON}),
    ("bad_form", {"content": b"[" * 1_000_000, "headers": JSON}),
    ("bad_form", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
    ("bad_form", {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=" + "b" * 5000}}),
    ("bad_form", {"content": b"--x\r\n\r\nabc", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    ("bad_form", {"files": [("image", ("n" * 1_000_000, b"x"))]}),
    ("not_a_picture", {"content": b"x", "headers": {"content-type": "image/png"}}),
    ("not_a_picture", {"content": png(bright(1))[:60], "headers": {"content-type": "image/png"}}),
    ("not_a_picture", {"files": files(png(bright(1)), b"GIF89a")}),
]


@pytest.mark.parametrize(("code", "request_options"), BAD, ids=[f"{n}-{code}" for n, (code, _) in enumerate(BAD)])
def test_what_is_no_picture_is_refused_in_one_form(server, code, request_options):
    answer = server.predict(**request_options)
    assert answer.status_code == KINDS[code].status
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (code, answer.status_code)
    assert error["message"]
    assert server.service.requests == server.service.bytes == 0


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/api/v1/nothing", "not_found"), ("GET", "/", "not_found"), ("GET", "/docs/", "not_found"),
     ("GET", "/api/v1/predict", "method_not_allowed"), ("DELETE", "/healthz", "method_not_allowed"),
     ("POST", "/metrics", "method_not_allowed")],
)  # fmt: skip
def test_paths_and_methods_have_the_same_form(server, method, path, code):
    answer = server.ask(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (KINDS[code].status, code)
    if code == "method_not_allowed":
        assert answer.headers["allow"] in ("POST", "GET", "GET, HEAD")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_balancer_may_add_a_query(server, path):
    assert server.ask("GET", path + "?now=1").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/model", "/api/v1/openapi.json", "/metrics", "/docs", "/api/v1/predict"])
def test_an_unknown_query_parameter_is_refused(server, path):
    method = "POST" if path.endswith("predict") else "GET"
    body = {"content": bytes(784), "headers": RAW} if method == "POST" else {}
    answer = server.ask(method, path + "?top%20k=3&verbose", **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "bad_parameter")
    assert error["message"] == f"got the query parameter 'top k'; {path} takes none: leave it out"
    assert server.ask(method, path + "?", **body).status_code == 200


def test_the_documentation_names_all_that_the_description_has(server):
    answer = server.ask("GET", "/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    description = server.ask("GET", "/api/v1/openapi.json").json()
    for name in [*description["paths"], *description["components"]["schemas"], *KINDS]:
        assert name in answer.text
    assert "list of 1 to 64 × list of 28 × list of 28 × integer 0 to 255" in answer.text
    assert "http://127.0.0.1:7860" in answer.text and "Bearer" not in answer.text
    assert "<script" not in answer.text and "src=" not in answer.text and "url(" not in answer.text


def test_the_documentation_shows_how_to_send_the_token_and_where_none_is_needed():
    server, headers = Server(token="secret"), {"Authorization": "Bearer secret"}
    text = server.ask("GET", "/docs", headers=headers).text
    assert "Bearer $TOKEN" in re.sub("</?span>", "", text) and "secret" not in text
    paths = server.ask("GET", "/api/v1/openapi.json", headers=headers).json()["paths"]
    locked = {path for path, methods in paths.items() for one in methods.values() if one.get("security")}
    assert locked == {"/api/v1/predict", "/api/v1/model", "/metrics"}
    for path, methods in paths.items():
        for method in methods:
            assert (server.ask(method, path).status_code == 401) == (path in locked)


def test_a_form_may_have_other_fields_and_empty_files(server):
    """As browsers and other programs send them: the pictures are answered, in their order."""
    one, other = png(bright(3)), png(bright(4))
    for form in (
        {"files": files(one), "data": {"comment": "a shoe", "empty": ""}},
        {"files": [("image", ("a.png", one)), ("second", ("", b"")), ("third", ("b.png", other))]},
        {"files": [("image", ("a.png", one)), ("empty", ("b.png", b""))]},
        {"files": [("comment", (None, b"a text")), ("image", (None, one))]},  # a picture without a file's name
    ):
        assert server.labels(**form)[0] == 3


@pytest.mark.parametrize(
    ("form", "code", "told"),
    [({"files": [("note", (None, b"hello"))]}, "no_picture", "'note'"),
     ({"files": [("first", ("", b""))], "data": {"x": "1"}}, "no_picture", "'first'"),
     ({"files": [("image", ("a.png", b"hello"))]}, "not_a_picture", "picture 0 (field 'image')"),
     ({"files": [("a", ("a.png", png(bright(1)))), ("b", ("b.png", b"GIF89a"))]}, "not_a_picture", "(field 'b')"),
     ({"files": [("a", (None, b"x"))] * 100}, "bad_form", "more than 64 parts")],
)  # fmt: skip
def test_what_cannot_be_taken_of_a_form_is_named_by_its_field(server, form, code, told):
    error = server.predict(**form).json()["error"]
    assert error["code"] == code and told in error["message"]


@pytest.mark.parametrize(
    ("kind", "scale"), [("<f4", 1), ("<f8", 1), ("<f4", 255), ("<f8", 255), ("<i4", 255), ("<i8", 255)]
)
def test_numbers_of_more_bytes_are_not_answered_as_several_pictures(server, kind, scale):
    image = bright(3) / 255 * scale
    image[5] = np.linspace(0, scale, 28)
    answer = server.predict(content=image.astype(kind).tobytes(), headers=RAW)
    assert answer.json()["error"]["code"] == "bad_array"
    assert "uint8" in answer.json()["error"]["message"]


def test_pictures_of_one_byte_a_pixel_are_not_mistaken_for_such_numbers(server):
    rng = np.random.default_rng(0)
    blank, grey = np.zeros((8, 28, 28), np.uint8), np.full((8, 28, 28), 60, np.uint8)
    drawn = np.stack([bright(label) for label in range(8)])
    noise = rng.integers(0, 256, (64, 28, 28), np.uint8)
    faint = rng.integers(0, 2, (8, 28, 28), np.uint8)
    for images in (blank, grey, drawn, noise, faint, drawn // 4, 255 - drawn):
        assert len(server.labels(content=images.tobytes(), headers=RAW)) == len(images)


@pytest.fixture
def breaks(monkeypatch):
    break_readers(monkeypatch)


def test_a_picture_that_breaks_its_decoder_costs_that_request_only(breaks):
    server = Server(Limits(picture_seconds=1.0))
    good = png(bright(3))
    for content, told in (
        (b"crash", "ended its process (SIGFPE)"),
        (b"endless", "takes more than 1 s"),
        (b"flood", "is no picture"),
        (b"memory", "MemoryError"),
    ):
        answer = server.predict(files=files(good, content))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_a_picture")
        assert answer.json()["error"]["message"].startswith("picture 1 (field 'image')")
        assert told in answer.json()["error"]["message"]
        assert server.labels(files=files(good)) == [3]
    server.service.close()


def test_the_readers_end_with_the_server_whatever_they_are_doing(breaks):
    server = Server()

    async def work():
        async with server.client() as client:
            asking = asyncio.create_task(client.post("/api/v1/predict", files=files(b"endless")))
            await asyncio.sleep(1.5)
            running = list(server.service.readers._running)
            server.service.close()
            await asyncio.wait_for(asking, 5)
            return [process.returncode for process in running]

    assert asyncio.run(work()) == [-signal.SIGKILL]
    server.service._threads.shutdown(wait=True)  # nobody waits in it any more


def test_a_large_body_is_refused_before_it_is_read(server):
    async def never():
        raise AssertionError("the body was read")

    headers = [(b"content-type", b"image/png"), (b"content-length", b"10000001")]
    status, answered, body = asyncio.run(asgi(server.guard, headers, never))
    assert (status, body["error"]["code"], answered[b"connection"]) == (413, "body_too_large", b"close")


def test_a_body_of_unknown_length_is_cut_off(server):
    taken = 0

    async def endless():
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": bytes(1_000_000), "more_body": True}

    status, _, body = asyncio.run(asgi(server.guard, [(b"content-type", b"image/png")], endless))
    assert (status, body["error"]["code"], taken) == (413, "body_too_large", 11)


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"9" * 5000])
def test_a_false_length_is_refused(server, length):
    headers = [(b"content-type", b"image/png"), (b"content-length", length)]
    status, _, _ = asyncio.run(asgi(server.guard, headers, None))
    assert status in (400, 413)


def test_a_full_server_refuses_at_once_and_answers_what_it_took():
    server = Server(Limits(requests=2))
    server.model.go.clear()

    async def crowd():
        async with server.client() as client:
            ask = lambda: client.post("/api/v1/predict", content=bytes(784), headers=RAW)  # noqa: E731
            taken = [asyncio.create_task(ask()) for _ in range(2)]
            await asyncio.sleep(0.1)
            refused = await asyncio.wait_for(ask(), 1)
            server.model.go.set()
            return refused, await asyncio.gather(*taken), await ask()

    refused, taken, after = asyncio.run(crowd())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in (*taken, after)] == [200, 200, 200]
    assert 'fmnist_refused_total{code="overloaded"} 1' in server.counters.text()


def test_bodies_that_wait_are_bounded_together():
    server = Server(Limits(waiting_bytes=1000))
    headers = [(b"content-type", b"image/png"), (b"content-length", b"1001")]
    status, _, body = asyncio.run(asgi(server.guard, headers, None))
    assert (status, body["error"]["code"]) == (503, "overloaded")


def test_a_body_that_does_not_come_and_an_answer_that_does_not():
    server = Server(Limits(seconds=0.2))

    async def silent():
        await asyncio.sleep(10)

    status, headers, body = asyncio.run(asgi(server.guard, [(b"content-type", b"image/png")], silent))
    assert (status, body["error"]["code"], headers[b"connection"]) == (408, "slow_body", b"close")
    server.model.go.clear()
    answer = server.predict(content=bytes(784), headers=RAW)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    server.model.go.set()
    assert server.labels(content=bright(4).tobytes(), headers=RAW) == [4]
    assert server.service.requests == 0


def test_a_client_that_leaves_is_forgotten(server):
    async def gone():
        return {"type": "http.disconnect"}

    asyncio.run(_until_gone(server, gone))
    assert server.service.requests == 0


async def _until_gone(server, receive):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/predict", "raw_path": b"/", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"image/png")], "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    await server.guard(scope, receive, send)


def test_requests_that_come_together_are_computed_together():
    server = Server()
    server.model.go.clear()

    async def crowd():
        async with server.client() as client:
            first = asyncio.create_task(client.post("/api/v1/predict", content=bright(1).tobytes(), headers=RAW))
            await asyncio.sleep(0.1)
            rest = [
                asyncio.create_task(client.post("/api/v1/predict", content=bright(n % 10).tobytes(), headers=RAW))
                for n in range(40)
            ]
            await asyncio.sleep(0.3)
            server.model.go.set()
            await first
            return [answer.json()["predictions"][0]["label"] for answer in await asyncio.gather(*rest)]

    assert asyncio.run(crowd()) == [n % 10 for n in range(40)]
    assert server.model.sizes == [1, 40]


def test_a_batch_has_a_bound_and_an_error_reaches_whoever_asked():
    model, seen = Model(), []
    batcher = Batcher(lambda images: model(images[..., None]), lambda count, seconds: seen.append(count))

    async def work():
        images = np.stack([bright(n % 10) for n in range(2 * LARGEST + 5)])
        answers = await batcher.answer(images)
        assert answers.argmax(axis=1).tolist() == [n % 10 for n in range(len(images))]
        model.error = RunError("no numbers")
        with pytest.raises(RunError):
            await batcher.answer(images[:1])
        model.error = None
        assert (await batcher.answer(images[7:8])).argmax() == 7

    asyncio.run(work())
    assert seen == [LARGEST, LARGEST, 5, 1]


def test_a_mistake_of_ours_is_told_without_its_text(server):
    server.model.error = RuntimeError("a secret path")
    answer = server.predict(content=bytes(784), headers=RAW)
    server.model.error = None
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert server.labels(content=bright(2).tobytes(), headers=RAW) == [2]


def test_health_and_readiness(server):
    assert server.ask("GET", "/readyz").json() == {"status": "ready"}
    server.service.stopping = server.service.closing = True
    stopping = server.ask("GET", "/readyz")
    alive = server.ask("GET", "/healthz")
    server.service.stopping = server.service.closing = False
    assert (stopping.status_code, stopping.json()["error"]["code"]) == (503, "stopping")
    assert alive.json() == {"status": "ok"}
    assert stopping.headers["connection"] == alive.headers["connection"] == "close"


def test_metrics_count_and_are_well_formed():
    server = Server()
    server.labels(content=bytes(3 * 784), headers=RAW)
    server.predict(content=b"x", headers=RAW)
    text = server.ask("GET", "/metrics").text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) fmnist_\w+ .+|fmnist_\w+(\{\w+="[^"]+"(,\w+="[^"]+")*\})? [\d.e+-]+', line)
    for line in (
        'fmnist_requests_total{route="predict",status="200"} 1',
        'fmnist_requests_total{route="predict",status="422"} 1',
        'fmnist_refused_total{code="bad_array"} 1',
        "fmnist_pictures_total 3",
        'fmnist_batch_pictures_bucket{le="2"} 0',
        'fmnist_batch_pictures_bucket{le="4"} 1',
        "fmnist_batch_pictures_sum 3",
        "fmnist_request_seconds_count 1",
        "fmnist_in_flight 0",
    ):
        assert line in text.splitlines()


def test_all_processes_count_into_one_file(tmp_path):
    first, second = Counters(tmp_path / "counts", 0, 2), Counters(tmp_path / "counts", 1, 2)
    first.put("ready", 1), second.put("ready", 1)
    first.request("predict", 200), second.request("predict", 200)
    assert 'route="predict",status="200"} 2' in first.text()
    again = Counters(tmp_path / "counts", 1, 2)  # started again: what it counted stays, what it held is gone
    assert 'route="predict",status="200"} 2' in again.text()
    assert again.total("ready") == 1


def test_the_description_s_examples_are_answered(server):
    description = server.ask("GET", "/api/v1/openapi.json").json()
    content = description["paths"]["/api/v1/predict"]["post"]["requestBody"]["content"]
    assert server.predict(json=content["application/json"]["example"]).status_code == 200
    raw = base64.b64decode(content["application/octet-stream"]["example"])
    assert server.predict(content=raw, headers=RAW).status_code == 200
    codes = description["components"]["schemas"]["ErrorFacts"]["properties"]["code"]["enum"]
    assert set(codes) == set(KINDS)
    assert json.dumps(description).count("http://") == 0


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)


def test_a_server_whose_model_does_not_come_back_is_not_ready_and_ends(monkeypatch):
    ended = []

    class Life:
        def poll(self, seconds):
            if ended:
                raise EOFError
            return False

    monkeypatch.setattr(web_server.os, "_exit", ended.append)
    monkeypatch.setattr(web_server._log, "error", lambda *text: None)
    server = Server(Limits(seconds=0.2, stuck_seconds=0.3))
    server.model.go.clear()
    assert server.predict(content=bytes(784), headers=RAW).status_code == 504
    wait_for(lambda: server.service.batcher.busy_seconds() > 0.3)  # it may have begun long after the request
    assert server.ask("GET", "/readyz").json()["error"]["code"] == "overloaded"
    assert server.ask("GET", "/healthz").status_code == 200
    with pytest.raises(EOFError):
        web_server._watch(server.service, Life())
    server.model.go.set()
    assert ended == [1]
    wait_for(lambda: not server.service.batcher.busy_seconds())
    assert server.ask("GET", "/readyz").status_code == 200


def test_a_missing_package_is_named_with_the_line_that_brings_it(monkeypatch):
    from multiprocessing import Pipe

    from fmnist.web import workers

    monkeypatch.setitem(sys.modules, "fmnist.web.server", None)
    hears, tells = Pipe(duplex=False)
    workers._work(tells)
    error = hears.recv()
    assert isinstance(error, RunError) and "pip install 'fmnist[serve]'" in str(error)
