"""What all scripts share: command line, stored results, and commands that are run and measured."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.run.history import read_history

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FMNIST = (sys.executable, "-m", "fmnist")


def parser(docstring: str) -> argparse.ArgumentParser:
    """Return a script's command line; its --help shows the docstring as it is."""
    return argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)


def use_tests(*rooms: str) -> None:
    """Make `tests/support` importable as `support`, and the test modules of the rooms by their names."""
    sys.path[:0] = [str(ROOT / "tests" / room) for room in ("", *rooms)]


def path(name: str) -> Path:
    """Return the file of a stored result."""
    return RESULTS / f"{name}.json"


def stored(name: str) -> dict[str, Any]:
    """Return a stored result; an empty one where nothing is stored yet."""
    return read_json(path(name)) if path(name).is_file() else {}


def store(name: str, result: dict[str, Any]) -> None:
    """Store a result as `benchmarks/results/<name>.json`."""
    write_json(path(name), result)


def public(environment: dict[str, Any]) -> dict[str, Any]:
    """Return a run's environment without where its data lay, which concerns that machine alone, and with its GPU."""
    own = {key: value for key, value in environment.items() if not key.startswith("data_")}
    return own | ({"gpu": found} if (found := gpu()) else {})


def gpu() -> str:
    """Return the name and the driver of this machine's GPU; nothing where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    if not shutil.which(query[0]):
        return ""
    return subprocess.run(query, capture_output=True, text=True).stdout.strip().replace(", ", ", driver ")


def machine(environment: dict[str, Any]) -> str:
    """Return how documents name the machine of a measurement."""
    with_gpu = f"{environment['gpu']}, and " if environment.get("gpu") else ""
    return f"{with_gpu}{environment['cores']} cores of {environment['processor']}"


def command(words: list[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a command as a fresh process; return wall seconds, resident memory at its peak, standard output.

    Args:
        words: the command.
        environment: variables besides those of this process.

    Returns:
        `seconds` (from its start to its end), `processor_seconds` (of all cores), `peak_mib` and `output`.

    Raises:
        subprocess.CalledProcessError: it failed; its last words are on standard error.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdout=output, stderr=errors, env=os.environ | (environment or {}))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text, said = output.read().decode(), errors.read().decode()
    if process.returncode:
        print(said[-2000:], file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, words)
    busy = round(usage.ru_utime + usage.ru_stime, 1)
    return {
        "seconds": round(seconds, 3),
        "processor_seconds": busy,
        "peak_mib": round(usage.ru_maxrss / 1024),
        "output": text,
    }


def train(*options: str, keep: Path | None = None) -> dict[str, Any]:
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
        "processor_seconds": result["processor_seconds"],
        "preset": config["preset"],
        "peak_mib": result["peak_mib"],
        "training_seconds": round(sum(row["seconds"] for row in history), 2),
        "test_accuracy": scores["accuracy"],
        "test_loss": scores["loss"],
        "parameters": config["parameters"],
        "family": config["model"]["family"],
        "history": history,
        "environment": public(environment),
    }


def exports(path: Path) -> dict[str, Any]:
    """Export a run and benchmark its files; return the rows, as `exports` and `benchmark`, and `benchmark_cores`."""
    run = RunDirectory(path)
    command([*FMNIST, "export", str(run.path)])
    command([*FMNIST, "benchmark", str(run.path)])
    speeds = read_json(run.benchmark)
    cores = speeds["environment"]["cores"]
    return {"exports": read_json(run.exports_index)["files"], "benchmark": speeds["rows"], "benchmark_cores": cores}
