"""Measures what engines cost: a study's whole time on each, and many jobs of one second.

    python benchmarks/engines.py study                          # in turn, processes:2 and ray, each run on one core
    python benchmarks/engines.py naps --engines processes:2     # 1,000 jobs of one second, of which so many at once
    python benchmarks/engines.py naps --engines ray --jobs 200

Stores both parts in `benchmarks/results/engines.json`. The jobs of one second sleep, so that cores stay free for the
engine; their memory is that of the driver and of everything below it, at most, asked twice a second.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import measured

from fmnist.run.directory import write_json
from fmnist.run.environment import machine
from fmnist.study.engines import open_engine, tasks

NAME = "engines"
STUDY = """\
description: Does flipping help?
preset: reference
settings: {limit: 6000, epochs: 6, filters: [16, 32, 32], threads: 1}
seeds: 3
variants:
  flip: {flip: true}
"""


def study(engines: list[str]) -> dict[str, list[float]]:
    """Return the seconds of the whole command on each engine, from the command to the table."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flip.yaml"
        file.write_text(STUDY, "utf-8")
        for number, engine in enumerate(engines):
            where = ["--runs-dir", str(Path(folder) / str(number))]
            done = measured.command([*measured.FMNIST, "compare", str(file), "--engine", engine, *where])
            seconds.setdefault(engine, []).append(round(done["seconds"], 1))
            print(f"{engine}: {done['seconds']:.1f} s", flush=True)
    return seconds


def resident() -> int:
    """Return the bytes of memory that this process and all below it hold and share with nobody, in proportion."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    own, more = {os.getpid()}, True
    while more:
        more = {child for child, parent in parents.items() if parent in own} - own
        own |= more
    total = 0
    for process in own:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def naps(engine_name: str, jobs: int) -> dict[str, float]:
    """Return what so many jobs of one second take through an engine: seconds and memory."""
    tasks.WORKER = "nap:main"
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        files = [folder / f"{number}.json" for number in range(jobs)]
        for file in files:
            write_json(file, {})
        before = resident()
        engine = open_engine(engine_name, folder=folder, threads=1, gpus=0, options="")
        opened, most = time.monotonic() - began, 0
        try:
            handles = engine.submit(files)
            while set(states := engine.poll(handles).values()) - {"done"}:
                if "failed" in states:
                    raise SystemExit(f"{engine_name}: a job failed")
                most = max(most, resident() - before)
                time.sleep(0.5)
        finally:
            engine.close()
        seconds = time.monotonic() - began
    print(f"{engine_name}: {jobs} jobs in {seconds:.0f} s, {most / 2**20:.0f} MiB more", flush=True)
    load = round(os.getloadavg()[0], 1)  # what else the machine does
    figures = {"opened": round(opened, 1), "seconds": round(seconds, 1), "mebibytes": round(most / 2**20)}
    return {"jobs": jobs, **figures, "load": load}


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("part", choices=("study", "naps"))
    parser.add_argument("--engines", nargs="+", default=["in-turn", "processes:2", "ray"])
    parser.add_argument("--jobs", type=int, default=1000)
    arguments = parser.parse_args()
    result = measured.stored(NAME) | {"environment": machine()}
    if arguments.part == "study":
        seconds = study(arguments.engines)
        medians = {name: {"seconds": all, "median": statistics.median(all)} for name, all in seconds.items()}
        result["study"] = medians | {"load": round(os.getloadavg()[0], 1)}
    else:
        result.setdefault("naps", {}).update({name: naps(name, arguments.jobs) for name in arguments.engines})
    measured.store(NAME, result)


if __name__ == "__main__":
    sys.exit(main())
