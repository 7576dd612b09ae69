"""Trains a preset with several seeds and stores each run's scores: the evidence behind the accuracy tables.

    python benchmarks/accuracy.py reference --seeds 0 1 2 3 4

Every seed is a process of its own: `fmnist train`, evaluation, plots and report included. Results go to
`benchmarks/results/accuracy-<preset>.json` after each seed; seeds that are in the file already are not run again.

    python benchmarks/accuracy.py best --seeds 0 1 --keep runs
    python benchmarks/accuracy.py tiny --seeds 0 1 2 --keep runs --exports --teacher best-0

keeps the runs as `runs/<preset>-<seed>`; `--exports` exports and measures those that are kept, after the training, also
where a seed is in the file already. Two such commands may train different seeds at once, each on a core of its own
(`taskset -c 0 …`); what they store says on how many cores it was measured.

    python benchmarks/accuracy.py standard --beside fast

trains another preset after each seed, and stores its seconds: on a busy machine the ratio says more than the seconds.
"""

from pathlib import Path

import measured

SECONDS = ("seconds", "training_seconds")  # of a whole command, and of its training alone


def main() -> None:
    """Run the seeds that are missing, then export those that are to be exported and are not."""
    parser = measured.parser(__doc__)
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--keep", type=Path, metavar="RUNS_DIR", help="keep the runs, in this folder")
    parser.add_argument("--exports", action="store_true", help="export and benchmark each kept run too")
    parser.add_argument("--beside", metavar="PRESET", help="train this one too after each seed, and store its seconds")
    arguments, extra = parser.parse_known_args()
    if arguments.exports and not arguments.keep:
        parser.error("--exports needs the runs: give --keep as well")
    name = f"accuracy-{arguments.preset}"
    command = " ".join(["fmnist train --preset", arguments.preset, *extra])
    empty = {"preset": arguments.preset, "command": command, "runs": []}
    if (found := (measured.stored(name) or empty)["command"]) != command:
        parser.error(f"{measured.path(name)} holds results of '{found}'; remove it first")
    for seed in arguments.seeds:
        if seed not in {run["seed"] for run in measured.stored(name).get("runs", [])}:
            keep = arguments.keep and arguments.keep / f"{arguments.preset}-{seed}"
            run = measured.train("--preset", arguments.preset, "--seed", str(seed), *extra, keep=keep)
            if arguments.beside:
                other = measured.train("--preset", arguments.beside, "--seed", str(seed))
                run["beside"] = {"preset": arguments.beside} | {key: other[key] for key in SECONDS}
            results = measured.stored(name) or empty  # read anew: another command may have stored a seed meanwhile
            results["runs"] = sorted([*results["runs"], {"seed": seed, **run}], key=lambda run: run["seed"])
            measured.store(name, results)
            print(f"seed {seed}: test {run['test_accuracy']:.4f} in {run['seconds']:.0f} s", flush=True)
    for seed in arguments.seeds if arguments.exports else []:
        if "exports" not in _row(measured.stored(name), seed):
            files = measured.exports(arguments.keep / f"{arguments.preset}-{seed}")
            results = measured.stored(name)
            _row(results, seed).update(files)
            measured.store(name, results)
            print(f"seed {seed}: exported", flush=True)


def _row(results: dict, seed: int) -> dict:
    return next(run for run in results["runs"] if run["seed"] == seed)


if __name__ == "__main__":
    main()
