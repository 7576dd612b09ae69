"""Measures replicas of `fmnist serve` behind the shipped nginx and HAProxy: lost requests, and throughput.

    python benchmarks/replicas.py MODEL

MODEL is a run or an exported file. Needs nginx, HAProxy and wrk (Debian's `nginx-light`, `haproxy`, `wrk`), and the
rights to make a control group. All listen on 127.0.0.1 alone. Stored in `benchmarks/results/replicas.json`:

- `losses`: two replicas behind both proxies at once. For each proxy one client asks about arrays (784 bytes a
  picture), another about photos (PNG files of 360 kB), each without a pause. Meanwhile the replicas are restarted with
  SIGTERM, one after the other, and one is killed with SIGKILL, all its processes at once. Lost is every answer but the
  correct one. Stored after each turn.
- `throughput`: one and two replicas behind nginx, each with the same share of a core, asked by 16 connections.
"""

import contextlib
import io
import os
import signal
import statistics
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
    """Restart and kill replicas under load; store after each turn what was answered, and what was lost."""
    asked = {"arrays": (arrays(predictor), 0.0), "photos": (photos(predictor), 0.2)}
    result: dict[str, Any] = {what: {"times": 0, "seconds": 0.0, "clients": {}} for what in ("restarts", "kills")}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        replicas = stack.enter_context(running(2, *served))
        ports = {name: stack.enter_context(proxy(name, folder, replicas)) for name in PROXIES}
        clients = {
            f"{name}, {kind}": stack.enter_context(Clients(port, bodies, 1, pause))
            for name, port in ports.items()
            for kind, (bodies, pause) in asked.items()
        }
        for turn in range(times):
            ended = {"restarts": [(replica, signal.SIGTERM) for replica in replicas]}
            ended["kills"] = [(replicas[turn % 2], signal.SIGKILL)]
            for what, steps in ended.items():
                part, started = result[what], time.monotonic()
                before = {name: (client.answered.total(), len(client.lost)) for name, client in clients.items()}
                for replica, with_signal in steps:
                    replica.restart(with_signal)
                part["times"] += 1
                part["seconds"] = round(part["seconds"] + time.monotonic() - started, 1)
                for name, client in clients.items():
                    row = part["clients"].setdefault(name, {"answered": 0, "lost": []})
                    row["answered"] += client.answered.total() - before[name][0]
                    row["lost"] += client.lost[before[name][1] :]
            print(turn + 1, {what: _lost(part) for what, part in result.items()}, flush=True)
            measured.store("replicas", measured.stored("replicas") | {"losses": result, "environment": machine()})
    return result


def _lost(part: dict[str, Any]) -> dict[str, int]:
    return {name: len(row["lost"]) for name, row in part["clients"].items()}


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
    titles = {"restarts": "rolling restart", "kills": "SIGKILL"}
    rows = [
        f"| {plural(part['times'], titles[what])} | {client} | {row['answered']:,} | {len(row['lost'])} |"
        for what, part in result["losses"].items()
        for client, row in part["clients"].items()
    ]
    return [
        f"Two replicas on {measured.machine(result['environment'])}, which they share with proxies and clients "
        "(`benchmarks/replicas.py`):",
        "",
        "| | client | correct answers | lost |",
        "| --- | --- | --- | --- |",
        *rows,
        *_in_words(result.get("throughput")),
    ]


def _in_words(throughput: dict[str, Any] | None) -> list[str]:
    if throughput is None:  # not measured: only a machine that does nothing else gives each replica its share
        return []
    rates = " and ".join(
        f"{statistics.median(values):,.0f} with {plural(int(count), 'replica')}"
        for count, values in throughput["rates"].items()
    )
    return [
        "",
        f"Each replica with {throughput['share']:.0%} of a core, behind nginx, one picture a request, 16 connections: "
        f"{rates} requests a second, {throughput['ratio']:.2f} times as many.",
    ]


PARTS = (documents.Part("docs/scale.md", "replicas: made by benchmarks/replicas.py", figures),)


def main() -> None:
    """Measure, print and store."""
    parser = measured.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--times", type=int, default=20, help="rolling restarts, and kills; 0 leaves them as stored")
    parser.add_argument("--share", type=float, default=0.25, help="of a core, for each replica")
    parser.add_argument("--rounds", type=int, default=3, help="of the throughput; 0 leaves it as stored")
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    served = [arguments.model, "--no-page", "--runs-dir", str(arguments.runs_dir)]
    if arguments.rounds:
        rates = throughput(served, arguments.share, arguments.rounds, arguments.seconds)
        measured.store("replicas", measured.stored("replicas") | {"throughput": rates, "environment": machine()})
    if arguments.times:
        losses(served, open_model(arguments.model, arguments.runs_dir), arguments.times)
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
