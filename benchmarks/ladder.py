"""Measures the ladder: the least time from the start of the process to an evaluated model of a given test accuracy.

    python benchmarks/ladder.py 91.23 --seeds 10
    python benchmarks/ladder.py 93 --seeds 10 --plain

A rung is a mean test accuracy and the preset that passes it soonest, as `fmnist train --target` has it; the test set is
read once a run. Each seed is `fmnist train`, a process of its own: start-up, evaluation, diagnosis, plots and report
count. `--plain` also times the tutorial's script (20 epochs, its test evaluation included) in the same hour. Stored in
`benchmarks/results/ladder.json` after each process; a rung that is measured again starts anew.
"""

import statistics
import sys

import measured

from fmnist.config.presets import LADDER

# A mean test accuracy, %, and the flags of the recipe that is to pass it.
RUNGS = {f"{target:g}": f"--preset {name}" for target, name, _ in LADDER}
KEPT = ("seconds", "training_seconds", "peak_mib", "test_accuracy")


def main() -> None:
    """Measure rungs, and store each run."""
    parser = measured.parser(__doc__)
    parser.add_argument("rungs", nargs="*", choices=list(RUNGS), default=list(RUNGS), metavar="RUNG")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each rung [default: 5]")
    parser.add_argument("--plain", action="store_true", help="time the tutorial's script too, once a rung")
    arguments = parser.parse_args()
    for target in arguments.rungs:
        rung = {"command": f"fmnist train {RUNGS[target]}", "runs": []}
        if arguments.plain:
            timed = measured.command([sys.executable, str(measured.ROOT / "benchmarks" / "plain_keras.py")])
            rung["plain_seconds"] = timed["seconds"]
        for seed in range(arguments.seeds):
            run = measured.train(*RUNGS[target].split(), "--seed", str(seed))
            rung["runs"].append({"seed": seed} | {key: run[key] for key in KEPT})
            rung["environment"] = run["environment"]
            measured.store("ladder", measured.stored("ladder") | {target: rung})
            print(f"{target}%, seed {seed}: {run['test_accuracy']:.4f} in {run['seconds']:.1f} s", flush=True)


def section(result: dict) -> list[str]:
    """Write the ladder for docs/results.md."""
    rungs = {target: result[target] for target in RUNGS if target in result}
    machines = {measured.machine(rung["environment"]) for rung in rungs.values()}
    return [
        "## The ladder",
        "",
        "`python benchmarks/ladder.py`: the time from the start of the process to a saved, evaluated model, plots and "
        f"report included, whose test accuracy passes the rung in mean over the seeds. {'; '.join(sorted(machines))}.",
        "",
        "| rung, % | command | seeds | test accuracy, % | seconds, median (lowest to highest) "
        "| the tutorial's script in the same hour, s |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(target, rung) for target, rung in rungs.items()),
    ]


def _row(target: str, rung: dict) -> str:
    seconds, scores = ([run[key] for run in rung["runs"]] for key in ("seconds", "test_accuracy"))
    mean = 100 * statistics.mean(scores)
    reached = f"{mean:.2f} ± {100 * statistics.stdev(scores):.2f}" if len(scores) > 1 else f"{mean:.2f}"
    missed = "" if mean >= float(target) else ", missed"
    took = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
    plain = f"{rung['plain_seconds']:.0f}" if "plain_seconds" in rung else "not measured"
    return f"| {target}{missed} | `{rung['command']}` | {len(scores)} | {reached} | {took} | {plain} |"


if __name__ == "__main__":
    main()
