"""Measures replicas of `fmnist serve` behind the shipped nginx and HAProxy: lost requests, and throughput.

    python benchmarks/replicas.py MODEL

MODEL is a run or an exported file. Needs nginx, HAProxy and wrk (Debian's `nginx-light`, `haproxy`, `wrk`), and the
rights to make a control group. All listen on 127.0.0.1 alone. Stored in `benchmarks/results/replicas.json`:

- `losses`: two replicas behind both proxies at once. For each proxy one client asks about arrays (784 bytes a
  picture), another about photos (PNG files of 360 kB), each without a pause. Meanwhile the replicas are restarted with
  SIGTERM, one after the other, or killed with SIGKILL, all processes of one at once. Lost is every answer but the
  correct one.
- `throughput`: one and two replicas behind nginx, each with the same share of a core, asked by 16 connections.
"""

import contextlib
import io
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import documents
import measured
import numpy as np
from PIL import Image

from fmnist.predictor.opening import open_model
from fmnist.predictor.predictor import Predictor
from fmnist.run.environment import machine
from fmnist.text import plural

measured.use_tests()
from support.replicas import PROXIES, Clients, proxy, running  # noqa: E402

# Where version 1 of control groups has those for processor time, and version 2 those for everything.
_GROUPS = {Path("/sys/fs/cgroup/cpu"): "cpu.cfs_quota_us", Path("/sys/fs/cgroup"): "cpu.max"}
_PERIOD = 100_000  # microseconds, the usual one


def arrays(predictor: Predictor) -> list[tuple[str, bytes, int]]:
    """Return requests of one picture as the model takes it: content type, body, the model's answer."""
    images = np.random.default_rng(0).integers(0, 256, (8, *predictor.image_shape), np.uint8)
    labels = predictor.probabilities(images).argmax(axis=1).tolist()
    return [("application/octet-stream", image.tobytes(), label) for image, label in zip(images, labels, strict=True)]


def photos(predictor: Predictor) -> list[tuple[str, bytes, int]]:
    """Return requests of one photo, the same way."""
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        path.write_bytes(file.getvalue())
        return [("image/png", file.getvalue(), predictor.predict(path).label)]  # type: ignore[union-attr]


def losses(served: list[str], predictor: Predictor, times: int) -> dict[str, Any]:
    """Restart and kill replicas under load; return what each client was answered, and what it lost."""
    asked = {"arrays": arrays(predictor), "photos": photos(predictor)}
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        replicas = stack.enter_context(running(2, *served))
        ports = {name: stack.enter_context(proxy(name, folder, replicas)) for name in PROXIES}
        log = Path(folder) / "nginx.log"
        for what, with_signal, count in (("restarts", signal.SIGTERM, 2 * times), ("kills", signal.SIGKILL, times)):
            noted, started = len(log.read_text()), time.monotonic()
            with contextlib.ExitStack() as load:
                clients = {
                    f"{name}, {kind}": load.enter_context(Clients(port, bodies, 1))
                    for name, port in ports.items()
                    for kind, bodies in asked.items()
                }
                for step in range(count):
                    replicas[step % 2].restart(with_signal)
                    print(what, step + 1, {name: len(client.lost) for name, client in clients.items()}, flush=True)
            result[what] = {
                "times": times,
                "seconds": round(time.monotonic() - started, 1),
                "nginx_asked_two": log.read_text()[noted:].count(", 200\n"),
                "clients": {
                    name: {
                        "answered": client.answered,
                        "lost": client.lost,
                        "slowest_seconds": round(client.slowest, 2),
                    }
                    for name, client in clients.items()
                },
            }
    return result


@contextlib.contextmanager
def capped(share: float, name: str) -> Iterator[Callable[[], None]]:
    """Make a control group with a share of a core; yield what puts the process that calls it there."""
    root, file = next((root, file) for root, file in _GROUPS.items() if root.is_dir())
    group = root / f"fmnist-{os.getpid()}-{name}"
    group.mkdir()
    try:
        quota = round(share * _PERIOD)
        (group / file).write_text(f"{quota} {_PERIOD}" if file == "cpu.max" else str(quota))
        yield lambda: (group / "cgroup.procs").write_text("0") and None
    finally:
        while (group / "cgroup.procs").read_text():  # a process that was killed is gone a moment later
            time.sleep(0.1)
        group.rmdir()


def throughput(served: list[str], share: float, rounds: int, seconds: int) -> dict[str, Any]:
    """Ask one and two capped replicas behind nginx in turn."""
    from serve_load import wrk

    rates: dict[int, list[float]] = {1: [], 2: []}
    with contextlib.ExitStack() as stack:
        caps = [stack.enter_context(capped(share, name)) for name in ("first", "second")]
        replicas = [stack.enter_context(running(1, *served, before=cap))[0] for cap in caps]
        for _ in range(rounds):
            for count, values in rates.items():
                with (
                    tempfile.TemporaryDirectory() as folder,
                    proxy("nginx", folder, (replicas * 2)[: 2 * count : count]) as port,
                ):
                    server: Any = SimpleNamespace(url=f"http://127.0.0.1:{port}")
                    wrk(server, 1, 3)
                    values.append(wrk(server, 1, seconds)["requests_per_second"])
                    print(f"{plural(count, 'replica')}: {values[-1]:.0f} requests a second", flush=True)
    medians = {count: statistics.median(values) for count, values in rates.items()}
    return {
        "share": share,
        "rates": {str(count): values for count, values in rates.items()},
        "ratio": medians[2] / medians[1],
    }


def figures() -> list[str]:
    """Return the tables of docs/scale.md."""
    result = measured.stored("replicas")
    lost, rates = result["losses"], result["throughput"]
    rows = [
        f"| {plural(part['times'], title)} | {client} | {sum(one['answered'].values()):,} | {len(one['lost'])} "
        f"| {one['slowest_seconds']:.1f} |"
        for what, title in (("restarts", "rolling restart"), ("kills", "SIGKILL"))
        for part in [lost[what]]
        for client, one in part["clients"].items()
    ]
    rates_in_words = " and ".join(
        f"{statistics.median(values):,.0f} with {plural(int(count), 'replica')}"
        for count, values in rates["rates"].items()
    )
    return [
        f"Two replicas on {measured.machine(result['environment'])}, which they share with proxies and clients "
        "(`benchmarks/replicas.py`):",
        "",
        "| | client | correct answers | lost | slowest, s |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"nginx asked a second replica {lost['restarts']['nginx_asked_two']:,} times during the restarts, and "
        f"{lost['kills']['nginx_asked_two']:,} times during the kills.",
        "",
        f"Each replica with {rates['share']:.0%} of a core, one picture a request, 16 connections: {rates_in_words} "
        f"requests a second, {rates['ratio']:.2f} times as many.",
    ]


PARTS = (documents.Part("docs/scale.md", "replicas: made by benchmarks/replicas.py", figures),)


def main() -> None:
    """Measure, print and store."""
    parser = measured.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("--runs-dir", default="runs")
    parser.add_argument("--times", type=int, default=20, help="rolling restarts, and kills")
    parser.add_argument("--share", type=float, default=0.25, help="of a core, for each replica")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    served = [arguments.model, "--no-page", "--runs-dir", arguments.runs_dir]
    predictor = open_model(arguments.model, arguments.runs_dir)
    result = {
        "environment": machine(),
        "throughput": throughput(served, arguments.share, arguments.rounds, arguments.seconds),
        "losses": losses(served, predictor, arguments.times),
    }
    measured.store("replicas", result)
    documents.write(*PARTS)
    lost = sum(len(one["lost"]) for part in result["losses"].values() for one in part["clients"].values())
    ratio = result["throughput"]["ratio"]
    print(f"{plural(lost, 'request')} lost (none), {ratio:.2f} times the throughput of one replica (at least 1.7)")
    sys.exit(0 if not lost and ratio >= 1.7 else 1)


if __name__ == "__main__":
    main()
