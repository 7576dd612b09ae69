"""Replicas of `fmnist serve` behind the shipped proxies, and clients that ask them; all on the loopback."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

DEPLOY = Path(__file__).parents[2] / "deploy"
ADDRESS = re.compile(r"172\.30\.77\.\d+:7860")  # of the replicas, in the shipped files


class Proxy(NamedTuple):
    """How a proxy is used: its file, what it listens with there, its commands, and the signal for an orderly end."""

    file: Path
    listens: str
    start: list[str]
    check: list[str]
    stop: signal.Signals


PROXIES = {
    "nginx": Proxy(
        DEPLOY / "nginx.conf",
        "listen ",
        ["nginx", "-e", "stderr", "-c"],
        ["nginx", "-t", "-e", "stderr", "-c"],
        signal.SIGQUIT,
    ),
    "haproxy": Proxy(DEPLOY / "haproxy.cfg", "bind ", ["haproxy", "-f"], ["haproxy", "-c", "-f"], signal.SIGUSR1),
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port, path="/readyz"):
    """Whether a server answers a GET with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)


class Replica:
    """`fmnist serve` on a port that it keeps; a process group of its own."""

    def __init__(self, model, *options, before=None):
        self.port, self._before = free_port(), before
        self._words = [sys.executable, "-m", "fmnist", "serve", str(model), "--port", str(self.port), *options]
        self.start()

    def start(self):
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self._words, stdout=quiet, stderr=quiet, start_new_session=True, preexec_fn=self._before
        )

    def wait(self):
        until(lambda: answers(self.port) or self.process.poll() is not None)
        assert self.process.poll() is None, "the server ended"
        return self

    def restart(self, number):
        """End it with a signal (SIGKILL to all its processes at once, as a machine that fails), and start it again."""
        self.end(number)
        self.start()
        self.wait()

    def end(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
            self.process.wait(30)


@contextlib.contextmanager
def running(count, model, *options, before=None):
    """Start replicas side by side, and end them in any case."""
    replicas = [Replica(model, *options, before=before) for _ in range(count)]
    try:
        yield [replica.wait() for replica in replicas]
    finally:
        for replica in replicas:
            replica.end()


def configured(name, folder, replicas, port):
    """Write a proxy's shipped file with the addresses of this test; return its path."""
    file, listens = PROXIES[name][:2]
    text = file.read_text("utf-8")
    for address, replica in zip(sorted(set(ADDRESS.findall(text))), replicas, strict=True):
        text = text.replace(address, f"127.0.0.1:{replica.port}")
    text, count = re.subn(rf"\b{listens}:?8080\b", f"{listens}127.0.0.1:{port}", text)
    assert count == 1
    # What the shipped file leaves to the system: it is for a server of its own.
    own = f"daemon off; pid {folder}/pid; user root;\nevents {{"
    text = text.replace("events {", own)
    bodies = f"http {{ client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;"
    text = text.replace("http {", bodies)
    path = Path(folder) / file.name
    path.write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def proxy(name, folder, replicas):
    """Start nginx or HAProxy in front of replicas; yield its port, and leave its log as `<name>.log` in the folder."""
    port = free_port()
    path = configured(name, folder, replicas, port)
    log = Path(folder) / f"{name}.log"
    with open(log, "ab") as output:
        words = [*PROXIES[name].start, str(path)]
        process = subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True)
        try:
            until(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None, f"{name} ended: {log.read_text()}"
            yield port
        finally:
            process.send_signal(PROXIES[name].stop)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Clients:
    """Threads that ask for predictions, each on one connection; they count answers, and note what was lost."""

    def __init__(self, port, bodies, count=4, pause=0.0):
        """Ask with the bodies in turn: (content type, bytes, label); each client pauses for seconds after an answer."""
        self.answered, self.lost = Counter(), []
        self._port, self._bodies, self._pause = port, bodies, pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until(lambda: self.answered or self.lost)
        return self

    def __exit__(self, *error):
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._over.is_set():
            number += 1
            kind, body, label = self._bodies[number % len(self._bodies)]
            try:
                connection.request("POST", "/api/v1/predict", body, {"Content-Type": kind})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200 or json.loads(said)["predictions"][0]["label"] != label:
                    raise ValueError(f"{answer.status}: {said[:200]!r}")
                self.answered[kind] += 1
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
            self._over.wait(self._pause)
        connection.close()
