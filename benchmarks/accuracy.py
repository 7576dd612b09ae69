"""Trains a preset with several seeds and stores each run's scores: the evidence behind the accuracy tables.

    python benchmarks/accuracy.py reference --seeds 0 1 2 3 4

Every seed is a process of its own: `fmnist train`, evaluation, plots and report included. Results go to
`benchmarks/results/accuracy-<preset>.json` after each seed; seeds that are in the file already are not run again.

    python benchmarks/accuracy.py best --seeds 0 1 --keep runs
    python benchmarks/accuracy.py tiny --seeds 0 1 2 --keep runs --exports --teacher best-0

keeps the runs as `runs/<preset>-<seed>`, and exports and measures the files of those that a `best` one taught.
"""

import argparse
from pathlib import Path

import measured

from fmnist.rundir import read_json, write_json


def main() -> None:
    """Run the seeds that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--keep", type=Path, metavar="RUNS_DIR", help="keep the runs, in this folder")
    parser.add_argument("--exports", action="store_true", help="export and benchmark each run too")
    arguments, extra = parser.parse_known_args()
    path = measured.RESULTS / f"accuracy-{arguments.preset}.json"
    command = " ".join(["fmnist train --preset", arguments.preset, *extra])
    results = read_json(path) if path.is_file() else {"preset": arguments.preset, "command": command, "runs": []}
    if results["command"] != command:
        parser.error(f"{path} holds results of '{results['command']}'; remove it first")
    done = {run["seed"] for run in results["runs"]}
    for seed in arguments.seeds:
        if seed not in done:
            keep = arguments.keep and arguments.keep / f"{arguments.preset}-{seed}"
            options = ["--preset", arguments.preset, "--seed", str(seed), *extra]
            run = measured.train(*options, keep=keep, exports=arguments.exports)
            results["runs"].append({"seed": seed, **run})
            write_json(path, results)
            print(f"seed {seed}: test {run['test_accuracy']:.4f} in {run['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
