"""Measures what a search is worth: against random values, and with its driver killed.

    python benchmarks/tune.py search --seeds 5
    python benchmarks/tune.py kills

`search` carries out two sweeps for each seed, of 20 trials of a small network on a part of Fashion-MNIST: one by
`fmnist.tune`, one whose values are drawn at random from the same ranges and whose runs are all trained to their end.
`kills` carries out 20 trials twice, once with ten SIGKILLs of the driver, and compares all trials. Stored as
`benchmarks/results/tune.json`; the part of `docs/scale.md` is made from it.
"""

import tempfile
import time
from pathlib import Path

import documents
import measured
import numpy as np

from fmnist import load_dataset, tune
from fmnist.config import Range
from fmnist.data.dataset import Dataset
from fmnist.run import results
from fmnist.run.directory import SWEEP_FILE, RunDirectory, write_json
from fmnist.run.environment import environment
from fmnist.study import StudyWatcher, run_in_turn
from fmnist.study.tables import pipes
from fmnist.study.tuning.sweep import Sweep
from fmnist.text import loss

NAME, TRIALS, KILLS = "tune", 20, 10
SETTINGS = {"filters": (8, 16), "epochs": 4, "limit": 2_000, "validation_fraction": 0.5}
KILLED = "--preset reference --filters 4,8 --epochs 8 --segment-steps 4 --batch-size 32 --limit 1000"


def sweep(seed: int) -> Sweep:
    """Return the usual sweep of preset `reference` with a small network."""
    return Sweep("search", "", "reference", SETTINGS | {"seed": seed})


def draw(space: dict, rng: np.random.Generator) -> dict:
    """Draw a value of each setting at random: evenly, or evenly over the orders of magnitude."""
    values = {}
    for name, search in space.items():
        if not isinstance(search, Range):
            values[name] = search[rng.integers(len(search))]
            continue
        ends = np.log([search.low, search.high]) if search.log else (search.low, search.high)
        if name in ("shift", "batch_size"):
            value = rng.uniform(ends[0], ends[1]) if search.log else rng.integers(search.low, search.high + 1)
            values[name] = round(float(np.exp(value))) if search.log else int(value)
        else:
            value = float(rng.uniform(*ends))
            values[name] = float(np.exp(value)) if search.log else value
    return values


def random_search(seed: int, dataset: Dataset, folder: Path) -> dict:
    """Train as many runs with values drawn at random; return the lowest validation loss and the seconds."""
    chosen, rng, started = sweep(seed), np.random.default_rng(1_000 + seed), time.monotonic()
    write_json(folder / SWEEP_FILE, {})  # so that the runs count as trials, and leave the test set alone
    space = chosen.space()
    jobs = [(RunDirectory(folder / f"{n:03d}"), chosen.config(draw(space, rng))) for n in range(TRIALS)]
    run_in_turn(jobs, dataset, StudyWatcher())
    losses = [results.model_row(run)["val_loss"] for run, _ in jobs if run.state() == "finished"]
    return {"val_loss": min(losses), "finished": len(losses), "seconds": round(time.monotonic() - started, 1)}


def search(seeds: int) -> None:
    """Store a row a seed: both searches' lowest validation losses, what became of the trials, and the seconds."""
    rows, dataset = [], load_dataset()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as place:
            started = time.monotonic()
            found = tune(sweep(seed), dataset, Path(place) / "search", trials=TRIALS)
            own = {"val_loss": found["best"]["val_loss"], "seconds": round(time.monotonic() - started, 1)}
            own |= {"counts": found["counts"], "preset": found["trials"][0]["val_loss"]}
            (Path(place) / "random").mkdir()
            rows.append({"seed": seed, "tune": own, "random": random_search(seed, dataset, Path(place) / "random")})
        print(rows[-1], flush=True)
        known = {"search": rows, "environment": measured.public(environment())}
        measured.store(NAME, measured.stored(NAME) | known)


def kills() -> dict:
    """Return what ten kills of the driver of a sweep of 20 trials did to it."""
    measured.use_tests()
    from support import sweep_kills

    words = [*KILLED.split(), "--trials", str(TRIALS)]
    with tempfile.TemporaryDirectory() as place:
        data = load_dataset().folder
        whole = sweep_kills.sweep(Path(place) / "whole", data, words)
        killed = sweep_kills.sweep(Path(place) / "killed", data, words, kills=KILLS, seed=1)
    same = sweep_kills.timeless(whole.trials) == sweep_kills.timeless(killed.trials)
    return {"kills": killed.kills, "alive": killed.alive, "trials": len(killed.trials), "same": same}


def section() -> list[str]:
    """Write what is stored."""
    found = measured.stored(NAME)
    rows, killed = found["search"], found["kills"]
    better = sum(row["tune"]["val_loss"] < row["random"]["val_loss"] for row in rows)
    table = [["seed", "`fmnist tune`", "20 at random", "the preset's own", "stopped early", "seconds", "at random"]]
    for row in rows:
        own, other = row["tune"], row["random"]
        losses = [loss(own["val_loss"]), loss(other["val_loss"]), loss(own["preset"])]
        stopped = str(own["counts"].get("stopped early", 0))
        table.append([str(row["seed"]), *losses, stopped, f"{own['seconds']:.0f}", f"{other['seconds']:.0f}"])
    same = "the same trials, values and losses" if killed["same"] else "other trials"
    return [
        "",
        f"**What it is worth.** Lowest validation loss after {TRIALS} trials of a small network (1,000 images, 4 "
        f"epochs), and with {TRIALS} values drawn at random from the same ranges, all trained to their end: lower "
        f"with {better} of {len(rows)} seeds. `python benchmarks/tune.py search`; "
        f"{measured.machine(found['environment'])}.",
        "",
        pipes(table),
        "",
        f"**Killed {killed['kills']} times** (SIGKILL of the driver at random moments) during {killed['trials']} "
        f"trials, a sweep ended in {same} as one that was left alone. `python benchmarks/tune.py kills`.",
        "",
    ]


PARTS = (documents.Part("docs/scale.md", "sweeps: made by benchmarks/tune.py", section),)


def main() -> None:
    """Measure, store and write."""
    parser = measured.parser(__doc__)
    parser.add_argument("what", nargs="?", choices=("search", "kills"), help="without it the document is made again")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if given.what == "search":
        search(given.seeds)
    elif given.what:
        measured.store(NAME, measured.stored(NAME) | {"kills": kills()})
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
