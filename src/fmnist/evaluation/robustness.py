"""Scores a finished run on corrupted test images, and finds the slices of the test set on which it fails."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fmnist.data.dataset import Dataset
from fmnist.evaluation import calibration, metrics, slices
from fmnist.evaluation.corruptions import STRENGTHS, chosen, corrupt
from fmnist.evaluation.evaluate import calibrate, check_dataset, load_model
from fmnist.evaluation.novelty import THRESHOLD, Novelty
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json, write_json

NUM_IMAGES = 2000
Score = Callable[[np.ndarray, np.ndarray], dict[str, float | None]]


def measure(
    run: RunDirectory,
    dataset: Dataset,
    *,
    kinds: Iterable[str] = (),
    num_images: int = NUM_IMAGES,
    seed: int = 0,
    write: bool = True,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, Any]:
    """Score a run's saved model on test images, corrupted in every way at five strengths, and write `robustness.json`.

    Probabilities are calibrated where the run is. Of the whole test set, as it is, the weak slices are named.

    Args:
        run: a finished run. The caller holds its lock.
        dataset: what it was trained on.
        kinds: names of `corruptions.CORRUPTIONS`; without any, all. A part of them is returned and not written.
        num_images: how many test images are corrupted, drawn from the seed; 0 takes all.
        seed: decides the sample, and what is drawn for each image.
        write: without it the run is only read, and needs no lock.
        progress: is told how many of how many scorings are done, and the corruption that comes next.

    Returns:
        What `robustness.json` holds: `accuracy`, the mean over all kinds and strengths (0 to 1); `clean`, the scores of
        the same images as they are: `accuracy`, the expected calibration error `ece`, and `unfamiliar`, the share
        called unfamiliar (None where the run cannot tell); `kinds`, for each its `name` and the same scores as lists,
        one entry a strength; `num_images`, `seed`; and `slices` of all test images: their `accuracy`, `num_images`, and
        `failing`, as `slices.failing` has them.

    Raises:
        InputError: the run has no model yet, the data set does not fit it, or a kind is unknown.
    """
    rows, kinds = chosen(kinds), list(kinds)
    check_dataset(read_json(run.config), dataset)
    started, predict = time.monotonic(), load_model(run)
    if write:
        calibrate(run, dataset, predict)
    temperature = results.temperature(run)
    known = Novelty.from_dict(read_json(run.familiarity)) if run.familiarity.is_file() else None

    def score(images: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        probabilities = predict(images)
        if temperature is not None:
            probabilities = calibration.at_temperature(probabilities, temperature)
        return {
            "accuracy": metrics.accuracy(probabilities, labels),
            "ece": calibration.expected_calibration_error(probabilities, labels),
            "unfamiliar": float((known.unfamiliarity(images) > THRESHOLD).mean()) if known else None,
        }

    sample = np.random.default_rng(seed).permutation(len(dataset.test_labels))[: num_images or None]
    images, labels = dataset.test_images[sample], dataset.test_labels[sample]
    clean, found = score(images, labels), []
    for number, row in enumerate(rows):
        progress(number, len(rows), row.name)
        scores = [score(corrupt(images, row.name, strength, seed), labels) for strength in STRENGTHS]
        found.append({"name": row.name} | {name: [one[name] for one in scores] for name in clean})
    progress(len(rows), len(rows), "")
    result = {
        "accuracy": float(np.mean([row["accuracy"] for row in found])),
        "clean": clean,
        "kinds": found,
        "num_images": len(labels),
        "seed": seed,
        "slices": _slices(dataset, predict(dataset.test_images)),
        "seconds": round(time.monotonic() - started, 3),
    }
    if write and not kinds:
        write_json(run.robustness, result)
    return result


def _slices(dataset: Dataset, probabilities: np.ndarray) -> dict[str, Any]:
    correct = probabilities.argmax(axis=1) == dataset.test_labels
    failing = slices.failing(dataset.test_images, dataset.test_labels, correct, dataset.class_names)
    return {"accuracy": float(correct.mean()), "num_images": len(correct), "failing": failing}


def mean_scores(row: dict[str, Any]) -> dict[str, float | None]:
    """Return the means over the strengths of a row of `kinds`; None where a score is not known."""
    return {
        name: None if values[0] is None else float(np.mean(values))
        for name, values in row.items()
        if isinstance(values, list)
    }
