"""Trains recipes that are to be compared on validation images alone, and stores what each reached.

    python benchmarks/pilots.py pilots-gpu --common "--preset best-gpu --validation-fraction 0.16667" recipes.txt

Each line of the file is one recipe: flags of `fmnist train` besides the common ones. Nothing but training is done, so
the test set is never looked at. Results go to `benchmarks/results/NAME.json` after each; what is in the file already is
not run again.
"""

import shlex
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import measured

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


def main() -> None:
    """Train the recipes that are missing."""
    parser = measured.parser(__doc__)
    parser.add_argument("name")
    parser.add_argument("recipes", type=Path)
    parser.add_argument("--common", default="", help="flags that all have")
    parser.add_argument("--at-once", type=int, default=1, help="how many are trained side by side")
    arguments = parser.parse_args()
    commands = {
        f"fmnist train {arguments.common} {flags} --train-only": flags
        for flags in arguments.recipes.read_text(encoding="utf-8").splitlines()
    }
    runs = measured.stored(arguments.name).get("runs", [])
    missing = [command for command in commands if command not in [run["command"] for run in runs]]
    with ThreadPoolExecutor(arguments.at_once) as pool:
        for command, run in zip(missing, pool.map(pilot, missing), strict=True):
            runs.append({"command": command} | run)
            measured.store(arguments.name, {"runs": runs})
            report(commands[command], run)


def report(flags: str, run: dict) -> None:
    """Print what a recipe reached."""
    last, epoch = run["history"][-1], statistics.median(row["seconds"] for row in run["history"])
    print(
        f"{100 * last['val_accuracy']:.2f}% loss {last['val_loss']:.4f} train {100 * last['train_accuracy']:.2f}% "
        f"{epoch:.2f} s an epoch, {run['seconds']:.0f} s: {flags}",
        flush=True,
    )


def pilot(command: str) -> dict:
    """Run a command of `fmnist train`; return its seconds, parameters, history and environment."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "pilot")
        words = [*measured.FMNIST, *shlex.split(command)[1:], "--runs-dir", folder, "--name", run.name]
        result = measured.command(words)
        return {
            "seconds": result["seconds"],
            "parameters": read_json(run.config)["parameters"],
            "history": read_history(run.history),
            "environment": measured.public(read_json(run.environment)),
        }


if __name__ == "__main__":
    main()
