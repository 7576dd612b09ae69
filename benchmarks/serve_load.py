"""Measures `fmnist serve`: throughput and latency beside a plain endpoint, batches, overload, SIGTERM under load.

    python benchmarks/serve_load.py RUN --seconds 20 --rounds 3

RUN has `model.onnx` and `model.tflite` among its exports. Needs wrk (Debian's package `wrk`). Client and servers share
this machine, on 127.0.0.1 alone; every load is bounded in time. Servers take turns, so that a slow hour hits all.
Stored in `benchmarks/results/serving.json`; at the end it prints which bars hold (serving_tables.py):

- `single`: one picture a request (784 bytes), 16 connections: plain FastAPI + ONNX Runtime, ours with ONNX Runtime and
  with LiteRT, with 1 and 2 processes;
- `batch`: 64 pictures a request, ours; pictures a second;
- `overload`: requests at a fixed rate (open loop: nobody waits for answers), first at half of what one process can do,
  then at five times that for a minute, then at half again; latencies, refusals, and each second the memory;
- `sigterm`: ten stops under load; requests that were accepted and got no answer.
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import documents
import httpx
import measured
import numpy as np
from open_loop import send
from serving_tables import figures, verdicts

from fmnist.run.directory import RunDirectory, find_run, write_json
from fmnist.run.environment import machine

HERE, STORED = Path(__file__).parent, measured.path("serving")
PARTS = (documents.Part("docs/serving.md", "figures: made by benchmarks/serve_load.py", figures),)
SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "application/octet-stream"
file:close()
"""


class Server:
    """A server as a process group of its own, on a free port, with all its processes ready."""

    def __init__(self, words: list[str], ready: str = "", **environment: str) -> None:
        """Start it; `ready` is a line of its metrics once all processes are, where it has any."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [*words, "--port", str(port)], stdout=subprocess.DEVNULL, env=os.environ | environment,
            start_new_session=True,
        )  # fmt: skip
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                path = "/metrics" if ready else "/readyz"
                if ready in httpx.get(self.url + path, trust_env=False).text.splitlines() or not ready:
                    time.sleep(1 if ready else 5)  # processes that nobody can ask for
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        self.process.kill()
        raise RuntimeError(f"it did not start: {' '.join(words)}")

    def memory(self) -> int:
        """Return the bytes that its processes hold, shared ones once a process."""
        return sum(1024 * int(re.search(r"VmRSS:\s+(\d+)|$", status)[1] or 0) for _, status in self._processes())

    def processor_seconds(self) -> float:
        """Return the processor time that its living processes have taken."""
        ticks = sum(sum(map(int, fields[11:13])) for fields, _ in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> Iterator[tuple[list[str], str]]:
        """Yield `stat`, from the state on, and `status` of each process of its group."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    yield fields, (path.parent / "status").read_text()
            except (OSError, ProcessLookupError):
                continue

    def stop(self) -> float:
        """End it with SIGTERM; return the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - started

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.stop()


def ours(model: Path, workers: int) -> Server:
    words = [*measured.FMNIST, "serve", str(model), "--no-page", "--workers", str(workers)]
    return Server(words, f"fmnist_workers_ready {workers}")


def plain(model: Path, workers: int) -> Server:
    words = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "plain_endpoint:app", "--workers", str(workers)]
    return Server([*words, "--log-level", "error", "--no-access-log"], MODEL=str(model))


def wrk(server: Server, pictures: int, seconds: int, connections: int = 16) -> dict:
    """Ask as fast as it answers; return requests a second and latencies in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "script.lua"
        body.write_bytes(np.random.default_rng(0).integers(0, 256, 784 * pictures, np.uint8).tobytes())
        script.write_text(SCRIPT.format(body=body))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
        text = subprocess.run(
            [*words, f"{server.url}/api/v1/predict"], check=True, capture_output=True, text=True
        ).stdout
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    shares = {
        share: float(value) * units[unit] for share, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", text)
    }
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    return {
        "requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50_ms": shares["50"],
        "p99_ms": shares["99"],
    }


def throughput(run: RunDirectory, rounds: int, seconds: int) -> tuple[list[dict], list[dict]]:
    onnx, litert = run.exports / "model.onnx", run.exports / "model.tflite"
    kinds = [("plain", plain, onnx), ("ours, ONNX Runtime", ours, onnx), ("ours, LiteRT", ours, litert)]
    single: list[dict] = []
    batch: list[dict] = []
    for number in range(rounds):
        for workers in (1, 2):
            for name, start, model in kinds:
                with start(model, workers) as server:
                    wrk(server, 1, 3)
                    single.append({"round": number, "server": name, "processes": workers, **wrk(server, 1, seconds)})
                    if start is ours:
                        row = wrk(server, 64, seconds, 4)
                        row["pictures_per_second"] = 64 * row["requests_per_second"]
                        batch.append({"round": number, "server": name, "processes": workers, **row})
                print(json.dumps(single[-1]), flush=True)
    return single, batch


class Memory(threading.Thread):
    """Notes each second how many bytes a server holds."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.samples, self.over = server, [server.memory()], threading.Event()

    def run(self) -> None:
        while not self.over.wait(1):
            self.samples.append(self.server.memory())

    def __enter__(self) -> "Memory":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.join()
        self.samples.append(self.server.memory())


def overload(model: Path, rate: float, seconds: int) -> dict:
    """Send at half a rate, at five times it, and at half again; return what happened in each part."""
    parts = {}
    with ours(model, 1) as server:
        send(server.url, rate / 2, 5)
        for name, times, length in (
            ("before", 0.5, 15),
            ("overload", 5.0, seconds),
            ("after", 0.5, 5),
            ("later", 0.5, 15),
        ):
            with Memory(server) as memory:
                parts[name] = send(server.url, times * rate, length)
            parts[name]["memory_bytes"] = memory.samples
            print(name, json.dumps(parts[name]), flush=True)
    return parts


def sigterm(model: Path, rate: float, times: int) -> list[dict]:
    """Stop servers under load; return how long that took and what was lost."""
    rows = []
    for number in range(times):
        with ours(model, 1 + number % 2) as server:
            result = send(server.url, rate / 2, 6, after=(2.0, lambda: server.process.send_signal(signal.SIGTERM)))
            started = time.monotonic()
            server.process.wait(60)
            rows.append({"processes": 1 + number % 2, **result, "exit": server.process.returncode})
            rows[-1]["seconds_after_load"] = round(time.monotonic() - started, 2)
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, print and store."""
    parser = measured.parser(__doc__)
    parser.add_argument("run", nargs="?", default="latest")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--overload-seconds", type=int, default=60)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--output", type=Path, default=STORED)
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("needs wrk; on Debian: apt-get install wrk")
    run = find_run(arguments.run, arguments.runs_dir)
    single, batch = throughput(run, arguments.rounds, arguments.seconds)
    medians = {}
    for row in single:
        key = f"{row['server']}, {row['processes']}"
        rows = [other for other in single if f"{other['server']}, {other['processes']}" == key]
        medians[key] = {
            name: statistics.median(other[name] for other in rows)
            for name in ("requests_per_second", "p50_ms", "p99_ms")
        }
    rates = {name: medians[f"ours, {name}, 1"]["requests_per_second"] for name in ("ONNX Runtime", "LiteRT")}
    faster = max(rates, key=lambda name: rates[name])
    model = run.exports / {"ONNX Runtime": "model.onnx", "LiteRT": "model.tflite"}[faster]
    result = {
        "run": run.name,
        "environment": machine(),
        "faster": faster,
        "medians": medians,
        "single": single,
        "batch": batch,
        "overload": overload(model, rates[faster], arguments.overload_seconds),
        "sigterm": sigterm(model, rates[faster], arguments.stops),
    }
    write_json(arguments.output, result)
    if arguments.output == STORED:
        documents.write(*PARTS)
    bars = verdicts(result)
    print("\n".join(("holds   " if holds else "FAILS   ") + text for holds, text in bars))
    sys.exit(0 if all(holds for holds, _ in bars) else 1)


if __name__ == "__main__":
    main()
