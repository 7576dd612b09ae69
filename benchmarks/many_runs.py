"""Measures what 10,000 runs in one folder cost the commands, and the page, that look through them.

    python benchmarks/many_runs.py RUN --count 10000

The folder holds copies of the finished run RUN, which must have a LiteRT or ONNX export; each has a name and a start of
its own. Model, predictions, plots, report and exported files are hard links. Stored in
`benchmarks/results/many-runs.json`: seconds and memory of `fmnist runs`, of completing a run's name, of finding one run
and the newest one, and of opening the page. The files were just written, so they are in memory. Of a command the
processor's seconds are told, which other work on the machine hardly changes.
"""

import datetime
import json
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import documents
import httpx
import measured
from serve_load import Server

from fmnist.run.directory import RunDirectory, find_run, read_json
from fmnist.run.environment import machine

_COPIED = (".json", ".csv")  # what a list may read; the rest is linked
_FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def make(run: RunDirectory, folder: Path, count: int) -> None:
    """Fill a folder with copies of a run, one started each minute."""
    environment = read_json(run.environment)
    files = [path.relative_to(run.path) for path in run.path.rglob("*") if path.is_file()]
    for number in range(count):
        copy = RunDirectory(folder / f"run-{number:05}")
        for file in files:
            place = copy.path / file
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in _COPIED:
                shutil.copyfile(run.path / file, place)
            else:
                place.hardlink_to(run.path / file)
        started = _FIRST + datetime.timedelta(minutes=number)
        copy.environment.unlink()
        copy.environment.write_text(json.dumps(environment | {"started": started.isoformat()}), encoding="utf-8")


def commands(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """Run each command that looks through the folder; return its seconds and memory."""
    fmnist, place = [*measured.FMNIST], ["--runs-dir", str(folder)]
    words = f"fmnist report --runs-dir {shlex.quote(str(folder))} run-0000"
    asked = {
        "`fmnist runs`": (["runs", *place], {}),
        "`fmnist runs --json`": (["runs", "--json", *place], {}),
        "completion of a run's name": (
            [], {"_FMNIST_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": "4"}
        ),
        "`fmnist diagnose latest`": (["diagnose", "latest", *place], {}),
        "`fmnist diagnose NAME`": (["diagnose", f"run-{count // 2:05}", *place], {}),
    }  # fmt: skip
    rows = {}
    for name, (arguments, variables) in asked.items():
        row = measured.command([*fmnist, *arguments], variables)
        output = row.pop("output")
        if not output.strip():
            raise RuntimeError(f"{name} answered nothing")
        rows[name] = row | {"answer_bytes": len(output.encode())}
        print(name, rows[name], flush=True)
    return rows


def page(folder: Path) -> dict[str, Any]:
    """Ask for the page's lists as a browser does when it opens; return the server's processor seconds and memory."""
    words = [*measured.FMNIST, "serve", "run-00000", "--runs-dir", str(folder)]
    with Server(words, "fmnist_workers_ready 1") as server, httpx.Client(base_url=server.url, timeout=600) as client:
        taken = len(client.get("/").content)  # what is loaded with the first page is not counted
        loads = [one["id"] for one in client.get("/config").json()["dependencies"] if not one["inputs"]]
        before, started = server.memory(), server.processor_seconds()
        for number in loads:
            event = {"data": [], "fn_index": number, "session_hash": f"page{number}"}
            client.post("/gradio_api/queue/join", json=event).raise_for_status()
            answer = client.get(f"/gradio_api/queue/data?session_hash=page{number}").text
            if '"success":true' not in answer.replace(" ", ""):
                raise RuntimeError(answer[:1000])
            taken += len(answer)
        seconds = server.processor_seconds() - started
        return {
            "processor_seconds": seconds,
            "answer_bytes": taken,
            "peak_mib": round(server.memory() / 2**20),
            "grown_mib": round((server.memory() - before) / 2**20),
        }


def figures() -> list[str]:
    """Return the table of docs/scale.md."""
    result = measured.stored("many-runs")
    rows = [
        f"| {name} | {row['processor_seconds']:.1f} | {row['peak_mib']} | {row['answer_bytes'] / 1000:,.0f} |"
        for name, row in result["rows"].items()
    ]
    return [
        f"{result['count']:,} runs in one folder, their files in memory; {measured.machine(result['environment'])} "
        "(`benchmarks/many_runs.py`):",
        "",
        "| | processor seconds | memory, MiB | answer, kB |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


PARTS = (documents.Part("docs/scale.md", "runs: made by benchmarks/many_runs.py", figures),)


def main() -> None:
    """Measure, print and store."""
    parser = measured.parser(__doc__)
    parser.add_argument("run", nargs="?", default="latest")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    run = find_run(arguments.run, arguments.runs_dir)
    with tempfile.TemporaryDirectory(dir=run.path.parent.parent, prefix=".many-runs-") as folder:
        make(run, Path(folder), arguments.count)
        rows = commands(Path(folder), arguments.count) | {"opening the page": page(Path(folder))}
    measured.store("many-runs", {"count": arguments.count, "environment": machine(), "rows": rows})
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
