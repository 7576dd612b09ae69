"""Measures what a search is worth: against random values, and with its driver killed.

    python benchmarks/tune.py search
    python benchmarks/tune.py kills

`search` carries out two sweeps for each seed, of 20 trials of a small network on 2,000 images: one by `fmnist.tune`,
one whose values are drawn at random from the same ranges and whose runs are all trained to their end. The network has
a layer of 64 hidden units, is written in NumPy and comes in through the seam for runners; it takes the settings'
augmentation, dropout, smoothed labels, learning rate and batches. `--keras` trains a convolutional network with the
loop of `fmnist train` instead. `kills` carries out 20 trials twice, once with ten SIGKILLs of the driver, and compares
all trials. Stored as `benchmarks/results/tune.json`; the part of `docs/scale.md` is made from it.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import documents
import measured
import numpy as np
from scipy.special import softmax

from fmnist import load_dataset, tune
from fmnist.config import Config, Range
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.evaluation import metrics
from fmnist.run import results
from fmnist.run.directory import SWEEP_FILE, RunDirectory, write_json
from fmnist.run.environment import environment
from fmnist.study import Runner, StudyWatcher, run_in_turn
from fmnist.study.tables import pipes
from fmnist.study.tuning.sweep import Sweep
from fmnist.text import loss
from fmnist.training import augmentation

measured.use_tests()

from support import sweep_kills, sweep_runs  # noqa: E402

NAME, TRIALS, KILLS, HIDDEN = "tune", 20, 10, 64
SETTINGS = {"filters": (8, 16), "epochs": 8, "limit": 2_000, "validation_fraction": 0.5}


class SmallNetwork(sweep_runs.MadeUp):
    """A runner of runs whose network has one hidden layer, in NumPy."""

    def train(self, run: RunDirectory, *what: object) -> None:
        """Train a run. It leaves no model, so the best one counts as scored."""
        super().train(run, *what)
        run.report.write_text("", "utf-8")

    def scores(self, config: Config, dataset: Dataset) -> Iterator[dict[str, float]]:
        """Train with Adam, and yield the scores after each epoch."""
        recipe, rate = config.training, config.model.dropout
        train, val = run_split(config.to_dict(), dataset.train_labels, dataset.num_validation)
        images_of, truth_of = dataset.train_images, dataset.train_labels
        rng = np.random.default_rng(recipe.seed)
        shapes = ((784, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,))
        weights = [rng.normal(size=shape) * np.sqrt(2 / shape[0]) * (len(shape) > 1) for shape in shapes]
        means, squares, step = [0.0 * one for one in weights], [0.0 * one for one in weights], 0
        labels = np.eye(10)[truth_of[train]] * (1 - recipe.label_smoothing) + recipe.label_smoothing / 10

        def measure(images: np.ndarray, truth: np.ndarray, part: str) -> dict[str, float]:
            hidden = np.maximum(images.reshape(len(images), -1) / 255 @ weights[0] + weights[1], 0)
            found = softmax(hidden @ weights[2] + weights[3], 1)
            scores = metrics.cross_entropy(found, truth), metrics.accuracy(found, truth)
            return dict(zip((f"{part}_loss", f"{part}_accuracy"), scores, strict=True))

        for number in range(recipe.epochs):
            epoch = augmentation.make_epoch(images_of[train], config.augmentation, recipe.seed, number)
            images, targets = epoch.images.reshape(len(labels), -1) / 255, epoch.targets(labels)
            for start in range(0, len(labels), recipe.batch_size):
                batch, wanted = (array[start : start + recipe.batch_size] for array in (images, targets))
                kept = (rng.random((len(batch), HIDDEN)) >= rate) / (1 - rate)
                hidden = np.maximum(batch @ weights[0] + weights[1], 0) * kept
                error = (softmax(hidden @ weights[2] + weights[3], 1) - wanted) / len(batch)
                back = error @ weights[2].T * (hidden > 0) * kept
                slopes = (batch.T @ back, back.sum(0), hidden.T @ error, error.sum(0))
                step += 1
                for weight, mean, square, slope in zip(weights, means, squares, slopes, strict=True):
                    mean += 0.1 * (slope - mean)
                    square += 0.001 * (slope**2 - square)
                    rate_now = recipe.learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                    weight -= rate_now * mean / (np.sqrt(square) + 1e-7)
            parts = {"train": train, "val": val}
            yield {
                name: score
                for part, chosen in parts.items()
                for name, score in measure(images_of[chosen], truth_of[chosen], part).items()
            }


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


def random_search(seed: int, dataset: Dataset, folder: Path, runner: Runner) -> dict:
    """Train as many runs with values drawn at random; return the lowest validation loss and the seconds."""
    chosen, rng, started = sweep(seed), np.random.default_rng(1_000 + seed), time.monotonic()
    write_json(folder / SWEEP_FILE, {})  # so that the runs count as trials, and leave the test set alone
    space = chosen.space()
    jobs = [(RunDirectory(folder / f"{n:03d}"), chosen.config(draw(space, rng))) for n in range(TRIALS)]
    runner(jobs, dataset, StudyWatcher(), lambda: False)
    losses = [results.model_row(run)["val_loss"] for run, _ in jobs if run.state() == "finished"]
    return {"val_loss": min(losses), "finished": len(losses), "seconds": round(time.monotonic() - started, 1)}


def search(seeds: int, runner: Runner) -> None:
    """Store a row a seed: both searches' lowest validation losses, what became of the trials, and the seconds."""
    rows, dataset = [], load_dataset()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as place:
            started = time.monotonic()
            found = tune(sweep(seed), dataset, Path(place) / "search", trials=TRIALS, runner=runner)
            own = {"val_loss": found["best"]["val_loss"], "seconds": round(time.monotonic() - started, 1)}
            own |= {"counts": found["counts"], "preset": found["trials"][0]["val_loss"]}
            (Path(place) / "random").mkdir()
            rows.append(
                {"seed": seed, "tune": own, "random": random_search(seed, dataset, Path(place) / "random", runner)}
            )
        print(rows[-1], flush=True)
        known = {"search": rows, "environment": measured.public(environment())}
        measured.store(NAME, measured.stored(NAME) | known)


def drive(folder: Path) -> None:
    """Carry out a sweep, or what is left of it: the driver that `kills` kills."""
    tune(sweep(0), load_dataset(), folder, trials=TRIALS, runner=SmallNetwork())


def kills() -> dict:
    """Return what ten kills of the driver of a sweep of 20 trials did to it."""
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / name / "search" for name in ("whole", "killed")]
        commands = [[sys.executable, __file__, "drive", "--folder", str(folder)] for folder in folders]
        whole = sweep_kills.carry_out(folders[0], commands[0])
        killed = sweep_kills.carry_out(folders[1], commands[1], KILLS, seed=1, within=5.0)
    same = sweep_kills.timeless(whole.trials) == sweep_kills.timeless(killed.trials)
    return {"kills": killed.kills, "alive": killed.alive, "trials": len(killed.trials), "same": same}


def section() -> list[str]:
    """Write what is stored, if anything is."""
    found = measured.stored(NAME)
    lines = [""] if found else []
    if rows := found.get("search"):
        better = sum(row["tune"]["val_loss"] < row["random"]["val_loss"] for row in rows)
        table = [["seed", "`fmnist tune`", f"{TRIALS} at random", "the preset's own", "stopped early"]]
        for row in rows:
            losses = [loss(row[part]["val_loss"]) for part in ("tune", "random")] + [loss(row["tune"]["preset"])]
            table.append([str(row["seed"]), *losses, str(row["tune"]["counts"].get("stopped early", 0))])
        lines += [
            f"**What it is worth.** Lowest validation loss after {TRIALS} trials of a small network (2,000 images, 8 "
            f"epochs), and with {TRIALS} values drawn at random from the same ranges, all trained to their end: lower "
            f"with {better} of {len(rows)} seeds. `python benchmarks/tune.py search`; "
            f"{measured.machine(found['environment'])}.",
            "",
            pipes(table),
            "",
        ]
    if killed := found.get("kills"):
        same = "the same trials, values and losses" if killed["same"] else "other trials"
        lines += [
            f"**Killed {killed['kills']} times** (SIGKILL of the driver at random moments) during {killed['trials']} "
            f"trials, a sweep ended in {same} as one that was left alone. `python benchmarks/tune.py kills`.",
            "",
        ]
    return lines


PARTS = (documents.Part("docs/scale.md", "sweeps: made by benchmarks/tune.py", section),)


def main() -> None:
    """Measure, store and write."""
    parser = measured.parser(__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("search", "kills", "drive"), help="without it the document is made again"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keras", action="store_true", help="train convolutional networks: hours on two cores")
    parser.add_argument("--folder", type=Path, help="of the sweep to drive")
    given = parser.parse_args()
    if given.what == "drive":
        return drive(given.folder)
    if given.what == "search":
        search(given.seeds, run_in_turn if given.keras else SmallNetwork())
    elif given.what:
        measured.store(NAME, measured.stored(NAME) | {"kills": kills()})
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
