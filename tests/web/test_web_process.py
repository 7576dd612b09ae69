"""Real processes and real sockets: signals, killed workers, what is loaded."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.breaking import jpeg_of_many_scans
from support.onnx_models import SHAPE, endless_onnx
from support.web_client import RAW, bright, png, write_onnx

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_onnx(tmp_path_factory.mktemp("model") / "model.onnx")


class Process:
    """`fmnist serve` on a free port."""

    def __init__(self, model, *options, before=None):
        command = [sys.executable, "-m", "fmnist", "serve", str(model), "--port", "0", "--json", *options]
        pipe = subprocess.PIPE
        settings = {"stdout": pipe, "stderr": pipe, "text": True, "start_new_session": True, "preexec_fn": before}
        self.popen = subprocess.Popen(command, **settings)
        self.lines = []
        with self.popen.stdout as told:
            text = "".join(iter(told.readline, "}\n"))
            self.url = json.loads(text + "}")["url"] if self.popen.poll() is None else self.popen.stderr.read()
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stderr), daemon=True)
        self.reader.start()

    def stop(self):
        """Send SIGTERM; return the exit code and the seconds that it took."""
        started = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(30)
        return code, time.monotonic() - started

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.reader.join(10)
        self.popen.stderr.close()


def metric(url, name):
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.split()[0] == name))


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def children(pid, word):
    """Return the processes that a process has started with a word in their command."""
    found = " ".join(path.read_text("ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [int(child) for child in found if word in Path(f"/proc/{child}/cmdline").read_bytes()]


def workers_of(pid, count=2):
    """Return the processes that answer."""
    found = children(pid, b"spawn_main")
    assert len(found) == count
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("usual", [signal.SIG_DFL, signal.SIG_IGN])
def test_an_interrupt_from_a_terminal_is_an_orderly_end(model, workers, usual):
    """It goes to every process of the group: once for the one that was started, which tells the others.

    A script that starts a server in the background has it ignore the signal at first.
    """
    with Process(model, "--workers", workers, before=lambda: signal.signal(signal.SIGINT, usual)) as server:
        until(lambda: httpx.get(f"{server.url}/").status_code == 200)
        os.killpg(server.popen.pid, signal.SIGINT)
        assert server.popen.wait(30) == 130
    assert [line for line in server.lines if "ERROR" in line or "Traceback" in line] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_accepted_is_lost_at_the_end(model, workers):
    answered, lost, stop = [], [], threading.Event()

    def ask(number):
        with httpx.Client(base_url=server.url) as client:
            while not stop.is_set():
                try:
                    answer = client.post("/api/v1/predict", content=bright(number).tobytes(), headers=RAW)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["predictions"][0]["label"] == number
                    answered.append(number)
                except httpx.ConnectError:  # nobody listens any more: not accepted
                    return
                except Exception as error:
                    lost.append(repr(error))
                    return

    with Process(model, "--no-page", "--workers", str(workers)) as server:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(answered) > 50)
        code, seconds = server.stop()
        stop.set()
        for thread in threads:
            thread.join(10)
    assert lost == []
    assert code == 143
    assert seconds < 10


def test_a_killed_process_comes_back_and_the_page_lives_in_one(model):
    with Process(model, "--workers", "2") as server:
        until(lambda: metric(server.url, "fmnist_workers_ready") == 2)
        for _ in range(8):  # either process may take the connection
            assert "<gradio-app" in httpx.get(f"{server.url}/").text
        for pid in workers_of(server.popen.pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"))
            until(lambda: metric(server.url, "fmnist_workers_ready") == 2)
        assert metric(server.url, "fmnist_worker_starts_total") == 4
        assert httpx.post(f"{server.url}/api/v1/predict", content=bright(3).tobytes(), headers=RAW).status_code == 200
        until(lambda: "<gradio-app" in httpx.get(f"{server.url}/").text)
        last = workers_of(server.popen.pid)
        code, seconds = server.stop()
        assert code == 143
        assert seconds < 12
        assert not any(os.path.exists(f"/proc/{pid}") for pid in last)
    assert sum("starting it again" in line for line in server.lines) == 2


def test_a_taken_port_is_told(model, run_cli):
    with Process(model, "--no-page") as server:
        code, _, error = run_cli("serve", model, "--port", server.url.rpartition(":")[2])
    assert code == 2
    assert "Address already in use" in error
    assert "--port" in error


def test_it_serves_without_tensorflow_and_what_draws(model):
    """The container has neither: the base install and the extra `serve`."""
    script = """
import sys
for name in ("tensorflow", "keras", "matplotlib", "sklearn", "onnx", "torch"):
    sys.modules[name] = None
from support.web_client import Server
from fmnist.web import Settings
from fmnist.web.server import application, open_predictor
import asyncio, httpx
settings = Settings(sys.argv[1])
guard, service = application(settings, open_predictor(settings))
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as client:
        print((await client.get("/")).status_code, (await client.get("/api/v1/model")).status_code)
asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(model)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.split() == ["200", "200"], done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_it_ends_in_time_while_pictures_are_read_that_take_minutes(model, workers):
    slow = jpeg_of_many_scans()
    with Process(model, "--no-page", "--workers", str(workers)) as server:
        ask = lambda: httpx.post(f"{server.url}/api/v1/predict", files={"image": slow}, timeout=60)  # noqa: E731
        with ThreadPoolExecutor(4) as threads:
            for _ in range(4):
                threads.submit(ask)
            time.sleep(1.5)
            code, seconds = server.stop()
    assert code == 143
    assert seconds < 10


def test_it_ends_in_time_with_a_model_that_does_not_come_back(tmp_path):
    (tmp_path / "model.onnx").write_bytes(endless_onnx(77))
    with Process(tmp_path / "model.onnx", "--no-page") as server:
        fine, endless = (np.full(SHAPE, level, np.uint8).tobytes() for level in (1, 77))
        for _ in range(3):  # from then on the model is asked where everything else happens, too
            assert httpx.post(f"{server.url}/api/v1/predict", content=fine, headers=RAW).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/api/v1/predict", content=endless, headers=RAW, timeout=1)
        code, seconds = server.stop()
    assert code == 143
    assert seconds < 10


def test_a_reader_that_is_killed_is_replaced_and_all_end_with_the_server(model):
    with Process(model, "--no-page") as server:
        (worker,) = workers_of(server.popen.pid, 1)
        until(lambda: children(worker, b"decoder"))
        for reader in children(worker, b"decoder"):
            os.kill(reader, signal.SIGKILL)
        answer = httpx.post(f"{server.url}/api/v1/predict", files={"image": png(bright(3))})
        assert answer.json()["predictions"][0]["label"] == 3
        readers = children(worker, b"decoder")
        assert readers
        assert server.stop()[0] == 143
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in [worker, *readers]), 5)


def test_bad_events_leave_no_traceback_and_unread_answers_are_forgotten(model):
    with Process(model) as server, httpx.Client(base_url=server.url) as client:
        until(lambda: client.get("/").status_code == 200)
        root = client.get("/config").json()
        inputs = {one["id"]: one["inputs"] for one in root["dependencies"]}
        pad = next(number for number, names in inputs.items() if len(names) == 1)
        event = {"session_hash": "abc", "fn_index": pad, "event_data": None, "trigger_id": None}
        join = lambda session, **change: client.post(  # noqa: E731
            "/gradio_api/queue/join", json={"data": ["x"], **event, "session_hash": session, **change}
        )
        for number in inputs:
            for data in ([], ["x"] * 9, ["no such run"] * len(inputs[number]), [3] * len(inputs[number])):
                until(lambda n=number, d=data: join(f"bad{n}", fn_index=n, data=d).status_code == 200, 10)
        assert join("abc", fn_index=10**6).status_code == 422
        for number in range(60):
            until(lambda n=number: join(f"unread{n}").status_code == 200, 10)
        assert client.get("/gradio_api/queue/data?session_hash=unread0").status_code == 404
        assert "process_completed" in client.get("/gradio_api/queue/data?session_hash=unread59").text
        server.stop()
    assert [line for line in server.lines if "Traceback" in line or len(line) > 1000] == []


def test_behind_a_proxy_with_a_sub_path_the_page_names_it(model):
    """The proxy takes the path off."""
    with Process(model, "--root-path", "/fmnist/", "--workers", "2") as server:
        until(lambda: httpx.get(f"{server.url}/").status_code == 200)
        for _ in range(6):  # either process
            config = httpx.get(f"{server.url}/config")
            assert config.json()["root"] == f"{server.url}/fmnist"
            assert r"href=\"./docs\"" in config.text
            assert f"SERVER={server.url}/fmnist<" in httpx.get(f"{server.url}/docs").text
            assert httpx.get(f"{server.url}/api/v1/model").status_code == 200
        assert httpx.get(f"{server.url}/api/v1/openapi.json").json()["servers"] == [{"url": "/fmnist"}]


def test_a_model_that_cannot_be_opened_is_told_once(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    words = [sys.executable, "-m", "fmnist", "serve", str(tmp_path / "model.onnx"), "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no ONNX file" in done.stderr and "starting it again" not in done.stderr
