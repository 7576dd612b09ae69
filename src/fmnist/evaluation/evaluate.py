"""Calibrates a finished run on its validation images and scores it on the test set.

Only this file and `robustness` score on the test set.
"""

import time
from typing import Any

import numpy as np

from fmnist import backend
from fmnist.data import decisions, shape
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.errors import InputError
from fmnist.evaluation import calibration, metrics, novelty
from fmnist.run import results
from fmnist.run.directory import RunDirectory, atomic_path, read_json, write_json
from fmnist.text import some

# Fewer validation images than these tell too little for a temperature or a threshold.
FEWEST = 50


def check_dataset(config: dict[str, Any], dataset: Dataset) -> None:
    """Refuse a data set whose classes or image size are not those that a run's `config.json` names.

    Raises:
        InputError: they do not fit.
    """
    names, size = tuple(config["dataset"]["class_names"]), shape.full(config["dataset"]["image_shape"])
    if (names, size) != (dataset.class_names, dataset.image_shape):
        raise InputError(
            f"the run was trained on {len(names)} classes ({some(names, 3)}) of {shape.told(size)}, "
            f"this data set has {dataset.num_classes} ({some(dataset.class_names, 3)}) "
            f"of {shape.told(dataset.image_shape)}; give the run's data with `data_dir`"
        )


def load_model(run: RunDirectory) -> backend.Predictor:
    """Return a run's saved model, ready to answer; an `InputError` where it has none yet."""
    path = run.need(run.model, "train --resume")
    backend.prepare()
    import keras

    return backend.Predictor(keras.models.load_model(path, compile=False, safe_mode=True))


def calibrate(run: RunDirectory, dataset: Dataset, predict: backend.Predictor | None = None) -> bool:
    """Write `calibration.json` and `familiarity.json` of a run that lacks them, from its validation images.

    The caller holds the run's lock; `predict` is its model, where that is loaded already. Returns whether the run has
    them now: not if it kept fewer than 50 validation images, or was trained on other data.
    """
    if run.calibration.is_file() and run.familiarity.is_file():
        return True
    images, labels = dataset.train_images, dataset.train_labels
    training, validation = run_split(read_json(run.config), labels, dataset.num_validation)
    if len(validation) < FEWEST or results.trained_on(results.environment(run), dataset.sha256) is False:
        return False
    learnt, learnt_labels = decisions.of_run(run, dataset).obey(training, labels)
    write_json(run.familiarity, novelty.fit(images[learnt], learnt_labels, images[validation]).to_dict())
    predict = predict or load_model(run)
    write_json(run.calibration, calibration.calibrate(predict(images[validation]), labels[validation]))
    return True


def evaluate(run: RunDirectory, dataset: Dataset, *, write: bool = True) -> dict[str, Any]:
    """Calibrate a run if that is not done yet, score its saved model on the whole test set, and write both results.

    Args:
        run: a finished run. The caller holds its lock. It gets `metrics.json` and `predictions.npz`.
        dataset: what it was trained on.
        write: without it the run is only read, needs no lock, and is not calibrated if it is not yet.

    Returns:
        What `metrics.json` holds: accuracy and loss (fractions, nats), a 95% Wilson interval for the accuracy, the
        `balanced_accuracy` (the mean of the classes' recalls), the expected calibration error `ece`, `calibrated`
        (temperature, loss and ece with it; None where there is none), precision, recall and F1 for each class and their
        means over the classes that have images, the confusion matrix (rows true, columns predicted).

    Raises:
        InputError: the run has no model yet, or the data set does not fit it.
    """
    run.need(run.model, "train --resume")
    check_dataset(read_json(run.config), dataset)
    started = time.monotonic()
    predict = load_model(run)
    if write:
        calibrate(run, dataset, predict)
    labels = dataset.test_labels
    probabilities = predict(dataset.test_images)
    result = scores(probabilities, labels, dataset.class_names, results.temperature(run))
    result["seconds"] = round(time.monotonic() - started, 3)
    if write:
        with atomic_path(run.predictions) as temporary:
            np.savez_compressed(temporary, probabilities=probabilities, labels=labels)
        write_json(run.metrics, result)
    return result


def scores(
    probabilities: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], temperature: float | None = None
) -> dict[str, Any]:
    """Return the contents of `metrics.json` for probabilities, float (N, classes), and labels, integer (N,)."""
    calibrated = None
    if temperature is not None:
        adjusted = calibration.at_temperature(probabilities, temperature)
        calibrated = {"temperature": temperature, **calibration.scores(adjusted, labels)}
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    correct, total = int(np.trace(confusion)), len(labels)
    rows = metrics.per_class(confusion)
    present = [row for row in rows if row["support"]]  # of a class without images nothing is known
    macro = {name: float(np.mean([row[name] for row in present])) for name in ("precision", "recall", "f1")}
    return {
        "accuracy": correct / total,
        "balanced_accuracy": macro["recall"],
        **calibration.scores(probabilities, labels),
        "accuracy_interval": list(metrics.wilson_interval(correct, total)),
        "calibrated": calibrated,
        "correct": correct,
        "num_images": total,
        "macro": macro,
        "per_class": [{"name": name, **row} for name, row in zip(class_names, rows, strict=True)],
        "class_names": list(class_names),
        "confusion_matrix": confusion.tolist(),
    }
