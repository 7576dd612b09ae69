"""The test-set results of a finished run. The one place that scores on the test set."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fmnist import engine, metrics
from fmnist.data import Dataset
from fmnist.errors import InputError
from fmnist.rundir import RunDirectory, atomic_path, read_json, write_json


def check_dataset(config: dict[str, Any], dataset: Dataset) -> None:
    """Refuse a data set whose classes or image size are not the run's.

    Args:
        config: the run's `config.json`.
        dataset: what it is to be used with.

    Raises:
        InputError: they do not fit.
    """
    trained_on = config["dataset"]
    wanted = (tuple(trained_on["class_names"]), tuple(trained_on["image_shape"]))
    if wanted != (dataset.class_names, dataset.image_shape):
        raise InputError(
            f"the run was trained on {len(wanted[0])} classes ({', '.join(wanted[0][:3])}, …) of {wanted[1][0]}×"
            f"{wanted[1][1]} pixels, this data set has {dataset.num_classes} ({', '.join(dataset.class_names[:3])}, …) "
            f"of {dataset.image_shape[0]}×{dataset.image_shape[1]}; give the run's data with --data-dir"
        )


def evaluate(run: RunDirectory, dataset: Dataset) -> dict[str, Any]:
    """Score the run's saved model on the whole test set; write `metrics.json` and `predictions.npz`.

    Args:
        run: a finished run.
        dataset: the data set it was trained on; only the test part is looked at.

    Returns:
        What `metrics.json` holds: accuracy and loss (fractions, nats), a 95% Wilson interval for the accuracy,
        precision, recall and F1 for each class and their means, the confusion matrix (rows true, columns predicted).

    Raises:
        InputError: the run has no model yet, or the data set does not fit it.
    """
    path = run.need(run.model, "train")
    check_dataset(read_json(run.config), dataset)
    engine.prepare()
    import keras

    started = time.monotonic()
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    labels = dataset.test_labels
    probabilities = engine.Predictor(model)(dataset.test_images)
    with atomic_path(run.predictions) as temporary:
        np.savez_compressed(temporary, probabilities=probabilities, labels=labels)
    result = scores(probabilities, labels, dataset.class_names)
    result["seconds"] = round(time.monotonic() - started, 3)
    write_json(run.metrics, result)
    return result


def scores(probabilities: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the contents of `metrics.json` for probabilities, float (N, classes), and labels, integer (N,)."""
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    correct, total = int(np.trace(confusion)), len(labels)
    rows = metrics.per_class(confusion)
    return {
        "accuracy": correct / total,
        "loss": metrics.cross_entropy(probabilities, labels),
        "accuracy_interval": list(metrics.wilson_interval(correct, total)),
        "correct": correct,
        "num_images": total,
        "macro": {name: float(np.mean([row[name] for row in rows])) for name in ("precision", "recall", "f1")},
        "per_class": [{"name": name, **row} for name, row in zip(class_names, rows, strict=True)],
        "class_names": list(class_names),
        "confusion_matrix": confusion.tolist(),
    }
