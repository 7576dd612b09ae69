"""What `fmnist serve` holds: throughput and latency beside a plain endpoint, batches, overload, SIGTERM under load.

    python benchmarks/serving.py RUN --seconds 20 --rounds 3

RUN has `model.onnx` and `model.tflite` among its exports. Needs wrk (Debian's package `wrk`). Client and servers share
this machine, on 127.0.0.1 alone; every load is bounded in time. Servers take turns, so that a slow hour hits all.
Stored in `benchmarks/results/serving.json`:

- `single`: one picture a request (784 bytes), 16 connections: plain FastAPI + ONNX Runtime, ours with ONNX Runtime and
  with LiteRT, with 1 and 2 processes;
- `batch`: 64 pictures a request, ours; pictures a second;
- `overload`: requests at a fixed rate (open loop: nobody waits for answers), first at half of what one process can do,
  then at five times that for a minute, then at half again; latencies, refusals and memory;
- `sigterm`: ten stops under load; requests that were accepted and got no answer.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import RESULTS
from open_loop import send

from fmnist.environment import machine
from fmnist.rundir import RunDirectory, find_run, write_json

HERE = Path(__file__).parent
SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "application/octet-stream"
file:close()
"""


class Server:
    """A server as a process group of its own, ready to answer."""

    def __init__(self, words: list[str], port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            words, stdout=quiet, stderr=quiet, env=os.environ | environment, start_new_session=True
        )
        for _ in range(600):
            check = ["curl", "-sf", "-o", os.devnull, f"{self.url}/readyz"]
            if subprocess.run(check, check=False).returncode == 0:
                time.sleep(2)  # the other processes
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"it did not start: {' '.join(words)}")

    def memory(self) -> int:
        """Return the bytes that its processes hold, shared ones once a process."""
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(path.read_text().rpartition(")")[2].split()[2]) == self.process.pid:  # its process group
                    status = (path.parent / "status").read_text()
                    total += 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])
            except (OSError, TypeError, ProcessLookupError):
                continue
        return total

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


def ours(model: Path, workers: int, port: int) -> Server:
    words = [sys.executable, "-m", "fmnist", "serve", str(model), "--no-page", "--port", str(port)]
    return Server([*words, "--workers", str(workers)], port)


def plain(model: Path, workers: int, port: int) -> Server:
    words = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "plain_endpoint:app", "--port", str(port)]
    return Server(
        [*words, "--workers", str(workers), "--log-level", "error", "--no-access-log"], port, MODEL=str(model)
    )


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
                with start(model, workers, 7900) as server:
                    wrk(server, 1, 3)
                    single.append({"round": number, "server": name, "processes": workers, **wrk(server, 1, seconds)})
                    if start is ours:
                        row = wrk(server, 64, seconds, 4)
                        row["pictures_per_second"] = 64 * row["requests_per_second"]
                        batch.append({"round": number, "server": name, "processes": workers, **row})
                print(json.dumps(single[-1]), flush=True)
    return single, batch


def overload(model: Path, rate: float, seconds: int) -> dict:
    """Send at half a rate, at five times it, and at half again; return what happened in each part."""
    parts = {}
    with ours(model, 1, 7901) as server:
        send(server.url, rate / 2, 5)
        for name, times, length in (
            ("before", 0.5, 15),
            ("overload", 5.0, seconds),
            ("after", 0.5, 5),
            ("later", 0.5, 15),
        ):
            parts[name] = send(server.url, times * rate, length) | {"memory_bytes": server.memory()}
            print(name, json.dumps(parts[name]), flush=True)
    return parts


def sigterm(model: Path, rate: float, times: int) -> list[dict]:
    """Stop servers under load; return how long that took and what was lost."""
    rows = []
    for number in range(times):
        with ours(model, 1 + number % 2, 7902) as server:
            result = send(server.url, rate / 2, 6, after=(2.0, lambda: server.process.send_signal(signal.SIGTERM)))
            started = time.monotonic()
            server.process.wait(60)
            rows.append({"processes": 1 + number % 2, **result, "exit": server.process.returncode})
            rows[-1]["seconds_after_load"] = round(time.monotonic() - started, 2)
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--overload-seconds", type=int, default=60)
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
        "sigterm": sigterm(model, rates[faster], 10),
    }
    write_json(RESULTS / "serving.json", result)
    print(json.dumps(medians, indent=1))


if __name__ == "__main__":
    main()
