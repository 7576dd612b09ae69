"""Measures the whole time from the command to an evaluated model: a preset beside the tutorial's script.

    python benchmarks/time_to_accuracy.py fast --rounds 3 --seeds-a-round 4

Each round runs the plain script once (20 epochs, its test evaluation included) and then `fmnist train` with a few
seeds (evaluation, diagnosis, plots and report included), each as a process of its own, so that start-up counts.
Stored in `benchmarks/results/time-to-accuracy-<preset>.json` after each process; a series that was stopped goes on, and
a finished one starts again.
"""

import json
import statistics
import sys

import measured


def main() -> None:
    """Run the rounds, print and store the medians and their ratio."""
    parser = measured.parser(__doc__)
    parser.add_argument("preset")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds-a-round", type=int, default=4)
    arguments = parser.parse_args()
    name = f"time-to-accuracy-{arguments.preset}"
    command = (
        f"python benchmarks/time_to_accuracy.py {arguments.preset} --rounds {arguments.rounds} "
        f"--seeds-a-round {arguments.seeds_a_round}"
    )
    result = measured.stored(name)
    if result.get("command") != command or "medians" in result:
        result = {"preset": arguments.preset, "command": command, "plain": [], "ours": []}
    plain_keras = str(measured.ROOT / "benchmarks" / "plain_keras.py")
    plain, ours = result["plain"], result["ours"]
    for number in range(arguments.rounds):
        if number >= len(plain):
            timed = measured.command([sys.executable, plain_keras, "--seed", str(number)])
            scores = json.loads(timed.pop("output").splitlines()[-1])
            plain.append({"seed": number, **timed, "test_accuracy": scores["test_accuracy"]})
            measured.store(name, result)
            print(f"plain seed {number}: {plain[-1]}", flush=True)
        for seed in range(number * arguments.seeds_a_round, (number + 1) * arguments.seeds_a_round):
            if seed < len(ours):
                continue
            last = {"seed": seed, **measured.train("--preset", arguments.preset, "--seed", str(seed))}
            ours.append({key: value for key, value in last.items() if key not in ("history", "environment")})
            result["environment"] = last["environment"]
            measured.store(name, result)
            print(
                f"{arguments.preset} seed {seed}: {last['seconds']} s, {last['peak_mib']} MiB, "
                f"test {last['test_accuracy']:.4f}",
                flush=True,
            )
    medians = {
        side: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mib", "test_accuracy")}
        for side, runs in (("plain", plain), ("ours", ours))
    }
    result |= {"medians": medians, "ratio": medians["plain"]["seconds"] / medians["ours"]["seconds"]}
    measured.store(name, result)
    print(
        f"plain {medians['plain']['seconds']:.0f} s, {arguments.preset} {medians['ours']['seconds']:.1f} s: "
        f"1/{result['ratio']:.1f} of the time, mean test accuracy "
        f"{100 * statistics.mean(run['test_accuracy'] for run in ours):.2f}%"
    )


if __name__ == "__main__":
    main()
