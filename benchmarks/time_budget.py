"""Measures what a time budget reaches, whether it is kept, and how the cost grows with the number of images.

    python benchmarks/time_budget.py --budgets 120 300 600 --seeds 0 1
    python benchmarks/time_budget.py --limits 15000 30000 60000 --seeds 0 1 2

Stored in `benchmarks/results/time-budget.json` and `benchmarks/results/images.json`.
"""

import measured


def main() -> None:
    """Run every budget, or every number of images, with every seed, and store what each took and reached."""
    parser = measured.parser(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--budgets", type=int, nargs="+", help="seconds")
    which.add_argument("--limits", type=int, nargs="+", help="images, validation included")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    flags, name, values = (
        (["--time-budget"], "time-budget", arguments.budgets)
        if arguments.budgets
        else (["--preset", "fast", "--limit"], "images", arguments.limits)
    )
    runs = []
    for seed in arguments.seeds:  # seed by seed, so that a slow hour of the machine meets every value
        for value in values:
            result = measured.train(*flags, str(value), "--seed", str(seed))
            environment, history = result.pop("environment"), result.pop("history")
            runs.append({"value": value, "seed": seed, "epochs": len(history), **result})
            runs[-1]["val_accuracy"] = history[-1]["val_accuracy"]
            print(runs[-1], flush=True)
            command = f"fmnist train {' '.join(flags)} N --seed S"
            measured.store(name, {"command": command, "runs": runs, "environment": environment})


if __name__ == "__main__":
    main()
