"""Replicas behind the shipped nginx and HAProxy: restarts and kills lose nothing, and a page stays with its replica.

`benchmarks/replicas.py` does the same twenty times, and measures the throughput of two replicas.
"""

import contextlib
import shutil
import signal
import subprocess

import httpx
import pytest
from support.replicas import PROXIES, Clients, proxy, running
from support.web_client import RAW, bright, write_onnx


def needs(*names):
    absent = [name for name in names if not shutil.which(name)]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in PROXIES])
def test_each_takes_its_shipped_file(name):
    words = [*PROXIES[name].check, str(PROXIES[name].file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_onnx(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.mark.engine
@needs(*PROXIES)
def test_restarts_and_kills_lose_no_request(model, tmp_path):
    """The same replicas behind both proxies at once, since a server takes seconds to start.

    HAProxy 2.6 asks nobody else when a killed replica resets a connection, so kills are for nginx alone.
    """
    bodies = [(RAW["content-type"], bright(number).tobytes(), number) for number in range(10)]
    with (
        running(2, model, "--no-page") as replicas,
        proxy("nginx", tmp_path, replicas) as first,
        Clients(first, bodies, 2) as nginx,
    ):
        with proxy("haproxy", tmp_path, replicas) as second, Clients(second, bodies, 2) as haproxy:
            for number in range(3):
                replicas[number % 2].restart(signal.SIGTERM)
        for number in range(3):
            replicas[number % 2].restart(signal.SIGKILL)
    assert (nginx.lost, haproxy.lost) == ([], [])
    assert min(nginx.answered.total(), haproxy.answered.total()) > 20
    # Some were asked for twice: else nothing was under way when a replica ended.
    assert ", 200" in (tmp_path / "nginx.log").read_text()


@pytest.mark.engine
@needs(*PROXIES)
def test_a_page_stays_with_its_replica(model, tmp_path):
    """The answer to a page's event lies in the process that got the event; without the cookie half of them are lost."""

    def answered(name, sends, reads):
        sent = sends.post("/gradio_api/queue/join", json=event | {"session_hash": name})
        answer = reads.get(f"/gradio_api/queue/data?session_hash={name}")
        return sent.status_code == answer.status_code == 200 and "process_completed" in answer.text

    with running(2, model) as replicas:
        for name in PROXIES:
            with proxy(name, tmp_path, replicas) as port, contextlib.ExitStack() as closing:
                browser, *others = (
                    closing.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
                    for _ in range(17)
                )
                assert "<gradio-app" in browser.get("/").text
                events = browser.get("/config").json()["dependencies"]
                event = {"data": ["x"], "fn_index": next(one["id"] for one in events if len(one["inputs"]) == 1)}
                assert all(answered(f"kept{number}", browser, browser) for number in range(8))
                strangers = enumerate(zip(others[::2], others[1::2], strict=True))
                assert not all([answered(f"lost{number}", *pair) for number, pair in strangers])
                assert browser.get("/metrics").status_code == 404
