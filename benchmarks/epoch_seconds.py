"""Measures the seconds an epoch takes: the reference preset and the same recipe in plain Keras, in turn.

    python benchmarks/epoch_seconds.py --rounds 3 --epochs 4

Each round runs all three as processes of their own: plain Keras, ours, and ours in bfloat16. The first epoch of
each is left out (it holds tracing). Ours includes its extra measurement of 5,000 training images after every epoch.
Stored in `benchmarks/results/epoch-seconds.json`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measured

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

HERE = Path(__file__).parent


def plain(epochs: int, seed: int) -> list[float]:
    """Run the tutorial's script and return the seconds of each epoch."""
    command = [sys.executable, str(HERE / "plain_keras.py"), "--epochs", str(epochs), "--seed", str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["epoch_seconds"]


def ours(epochs: int, seed: int, *extra: str) -> tuple[list[float], dict]:
    """Run the reference preset and return the seconds of each epoch, and the environment."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*measured.FMNIST, "train", "--preset", "reference", "--train-only", "--name", "run"]
        options = ["--epochs", str(epochs), "--seed", str(seed), "--runs-dir", folder, *extra]
        subprocess.run([*command, *options], check=True, capture_output=True)
        run = RunDirectory(Path(folder) / "run")
        return [row["seconds"] for row in read_history(run.history)], read_json(run.environment)


def main() -> None:
    """Run the rounds, print and store the medians and their ratio."""
    parser = measured.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        theirs = plain(arguments.epochs, number)
        mine, environment = ours(arguments.epochs, number)
        rounds.append(
            {
                "plain": theirs,
                "ours": mine,
                "bfloat16": ours(arguments.epochs, number, "--precision", "bfloat16")[0],
            }
        )
        for name, seconds in rounds[-1].items():
            print(f"round {number + 1}: {name:8} {[round(value, 2) for value in seconds]}", flush=True)
    medians = {name: statistics.median(seconds for row in rounds for seconds in row[name][1:]) for name in rounds[0]}
    result = {
        "command": f"python benchmarks/epoch_seconds.py --rounds {arguments.rounds} --epochs {arguments.epochs}",
        "rounds": rounds,
        "median_seconds": medians,
        # The machine's speed drifts: what ran side by side is compared, then the middle one of the rounds is taken.
        "ratios": {
            name: statistics.median(
                statistics.median(row["plain"][1:]) / statistics.median(row[name][1:]) for row in rounds
            )
            for name in ("ours", "bfloat16")
        },
        "environment": measured.public(environment),
    }
    measured.store("epoch-seconds", result)
    for name, ratio in result["ratios"].items():
        print(f"{name}: {medians[name]:.2f} s an epoch, plain {medians['plain']:.2f} s: {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
