"""Trains a preset with several seeds and stores each run's scores: the evidence behind the accuracy tables.

    python benchmarks/accuracy.py reference --seeds 0 1 2 3 4

Every seed is a process of its own: `fmnist train --train-only`, then `fmnist evaluate`. Results go to
`benchmarks/results/accuracy-<preset>.json` after each seed; seeds that are in the file already are not run again.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fmnist.rundir import RunDirectory, read_history, read_json, write_json

RESULTS = Path(__file__).parent / "results"


def train_one(preset: str, seed: int, extra: list[str], folder: Path) -> dict:
    """Train and evaluate one seed; return its history, its test scores and the whole time in seconds."""
    command = [sys.executable, "-m", "fmnist"]
    started = time.perf_counter()
    name = f"{preset}-{seed}"
    options = ["--runs-dir", str(folder), "--name", name, "--seed", str(seed), "--train-only", *extra]
    subprocess.run([*command, "train", "--preset", preset, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, "evaluate", str(folder / name)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    run = RunDirectory(folder / name)
    scores = read_json(run.metrics)
    environment = read_json(run.environment)
    return {
        "seed": seed,
        "seconds": round(seconds, 2),
        "test_accuracy": scores["accuracy"],
        "test_loss": scores["loss"],
        "parameters": read_json(run.config)["parameters"],
        "history": read_history(run.history),
        "environment": {key: value for key, value in environment.items() if not key.startswith("data_")},
    }


def main() -> None:
    """Run the seeds that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments, extra = parser.parse_known_args()
    path = RESULTS / f"accuracy-{arguments.preset}.json"
    command = " ".join(["fmnist train --preset", arguments.preset, *extra])
    results = read_json(path) if path.is_file() else {"preset": arguments.preset, "command": command, "runs": []}
    if results["command"] != command:
        parser.error(f"{path} holds results of '{results['command']}'; remove it first")
    done = {run["seed"] for run in results["runs"]}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            if seed not in done:
                results["runs"].append(train_one(arguments.preset, seed, extra, Path(folder)))
                write_json(path, results)
                last = results["runs"][-1]
                print(f"seed {seed}: test {last['test_accuracy']:.4f} in {last['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
