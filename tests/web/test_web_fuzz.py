"""Bodies that nobody would send on purpose: described ones of every shape, and hostile ones."""

import gc
import io
import random
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support.web_client import JSON, RAW, Server, bright, png

pytestmark = pytest.mark.slow


def test_the_description_holds_for_what_schemathesis_makes_up():
    """Every answer has a status, a type and a form that the description tells, and none is a 5xx.

    That described bodies are taken is not asked: OpenAPI cannot say which bytes are a picture.
    """
    server = Server(host="0.0.0.0")  # takes any name
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", server.guard)
    statuses = []
    for found in schema.get_all_operations():

        @given(found.ok().as_strategy())
        @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        def check(case):
            statuses.append(case.call_and_validate(excluded_checks=[positive_data_acceptance]).status_code)

        check()
    assert len(statuses) > 60
    assert {200, 422} <= set(statuses)


def bomb():
    """A PNG of 40,000 × 40,000 pixels in a few kilobytes."""

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = (40_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    data = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def files(kind):
    file = io.BytesIO()
    Image.effect_noise((300, 300), 60).convert("RGB").save(file, kind)
    return file.getvalue()


def hostile():
    """Yield (name, options of the request)."""
    rng = random.Random(0)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        whole = files(kind)
        for cut in range(8):
            yield f"{kind} cut {cut}", {"files": [("image", ("x", whole[: len(whole) * cut // 8]))]}
        for number in range(25):
            damaged = bytearray(whole)
            for _ in range(rng.randint(1, 40)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            yield f"{kind} damaged {number}", {"files": [("image", ("x", bytes(damaged)))]}
    yield "bomb", {"files": [("image", ("x", bomb()))]}
    yield "64 bombs", {"files": [("image", ("x", bomb()))] * 64}
    yield "a file name of 50 MB", {"files": [("image", ("n" * 50_000_000, b"x"))]}
    yield "1,000 tiny parts", {"files": [("image", ("x", b"x"))] * 1000}
    yield "deep JSON", {"content": b'{"images":' * 100_000, "headers": JSON}
    yield "long JSON", {"content": b'{"images": [' + b"1," * 900_000 + b"1]}", "headers": JSON}
    for number in range(40):
        body = rng.randbytes(rng.randrange(3000))
        kinds = ["image/png", "application/json", "multipart/form-data; boundary=x", "text/html", "application/zip", ""]
        yield f"noise {number}", {"content": body, "headers": {"content-type": rng.choice(kinds)}}


def memory():
    gc.collect()  # the client's requests and answers hold each other
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def bombard():
    """Send everything three times; return the answers' faults, the slowest one, and by how much memory grew."""
    server = Server()
    faults, slowest, before = [], (0.0, ""), 0
    for turn in range(3):
        for name, options in hostile():
            started = time.process_time()
            answer = server.predict(**options)
            slowest = max(slowest, (time.process_time() - started, name))
            # A few damaged pixels are still a picture.
            good = answer.status_code == 200 and "damaged" in name
            if not (good or 400 <= answer.status_code < 500):
                faults.append((name, answer.text))
        if server.service.requests or server.service.bytes:
            faults.append((turn, "something is still held"))
        if turn == 0:
            before = memory()
    grown = memory() - before
    if server.labels(content=bright(5).tobytes(), headers=RAW) != [5]:
        faults.append("a picture is not answered any more")
    if server.labels(files=[("image", ("x", png(bright(6))))]) != [6]:
        faults.append("a file is not answered any more")
    return faults, slowest, grown


def test_hostile_bodies_get_an_error_soon_and_leave_nothing_behind():
    # In a process of its own: what other tests have left behind would be measured here.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        faults, slowest, grown = pool.submit(bombard).result()
    assert faults == []
    assert slowest[0] < 2, slowest
    assert grown < 60 * 2**20
