"""Runs a command as a process of its own and measures it: wall time from start to end, peak memory, scores."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

RESULTS = Path(__file__).parent / "results"


def command(words: list[str]) -> dict:
    """Run it; return `seconds` (wall), `peak_mib` (resident memory) and `output` (its standard output).

    Raises:
        subprocess.CalledProcessError: it failed; its last words are on standard error.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text, said = output.read().decode(), errors.read().decode()
    if process.returncode:
        print(said[-2000:], file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, words)
    return {"seconds": round(seconds, 2), "peak_mib": round(usage.ru_maxrss / 1024), "output": text}


FMNIST = [sys.executable, "-m", "fmnist"]


def train(*options: str, keep: Path | None = None) -> dict:
    """Run `fmnist train` with the options, its evaluation, plots and report included, and return what it reached.

    Args:
        options: of the command.
        keep: the run directory to be made; without it the run is gone afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(keep or Path(folder) / "run")
        place = ["--runs-dir", str(run.path.parent)]
        result = command([*FMNIST, "train", *place, "--name", run.name, *options])
        scores, environment, config = read_json(run.metrics), read_json(run.environment), read_json(run.config)
        history = read_history(run.history)
    return {
        "seconds": result["seconds"],
        "peak_mib": result["peak_mib"],
        "training_seconds": round(sum(row["seconds"] for row in history), 2),
        "test_accuracy": scores["accuracy"],
        "test_loss": scores["loss"],
        "parameters": config["parameters"],
        "family": config["model"]["family"],
        "history": history,
        "environment": {key: value for key, value in environment.items() if not key.startswith("data_")},
    }


def exports(path: Path) -> dict:
    """Export a run and benchmark its files; return the rows, as `exports` and `benchmark`, and `benchmark_cores`."""
    run = RunDirectory(path)
    command([*FMNIST, "export", str(run.path)])
    command([*FMNIST, "benchmark", str(run.path)])
    speeds = read_json(run.benchmark)
    cores = speeds["environment"]["cores"]
    return {"exports": read_json(run.exports_index)["files"], "benchmark": speeds["rows"], "benchmark_cores": cores}
