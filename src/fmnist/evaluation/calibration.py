"""Measures how far a model's confidence is from its accuracy, and fits the temperature that brings them together.

Knows no model and no files. Probabilities are float (N, classes), rows that sum to 1; labels are integer (N,).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fmnist.evaluation import metrics

BINS = 15
# Temperatures are looked for between these; trained networks need 0.5 to 3.
_LOWEST, _HIGHEST = 0.1, 10.0
# Softmax in float32 gives 0 below this.
_SMALLEST = float(np.finfo(np.float32).tiny)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Sort images by the confidence of their answer into 15 bins of equal width.

    Bin i, from 0, holds confidences above i/15 up to (i + 1)/15.

    Returns:
        `count` int64 (15,), and `confidence` and `accuracy` float64 (15,): the bin's mean largest probability and its
        share of correct answers, from 0 to 1; NaN where the bin is empty.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return {
            "count": count,
            "confidence": np.bincount(bins, confidence, BINS) / count,
            "accuracy": np.bincount(bins, right, BINS) / count,
        }


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean distance (0 to 1) of confidence from accuracy over the bins of `reliability`, by their images.

    Source: C. Guo and others, "On Calibration of Modern Neural Networks", ICML 2017, equation 3. It is never 0, even
    for a perfect model: with 5,000 images, of which 92% are classified correctly, it is about 0.008 by chance.
    """
    bins = reliability(probabilities, labels)
    gaps = np.nan_to_num(np.abs(bins["confidence"] - bins["accuracy"]))
    return float((gaps * bins["count"]).sum() / bins["count"].sum())


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities, float32, that the same logits give when divided by a temperature.

    Above 1 makes a model less sure, below 1 surer; the order of the classes stays. Softmax forgets no more than a
    constant of the logits, so the logarithms of the probabilities will do.
    """
    return _softmax(_logarithms(probabilities) / temperature).astype(np.float32)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature (0.1 to 10) with the smallest cross-entropy, found by halving: it is convex in 1 / T.

    The images are to be others than those that the model was trained on. One more image, its answer unknown, is
    counted in: otherwise a model that makes no mistake on few images would be given certainty (after J. Platt,
    "Probabilistic outputs for support vector machines", 1999).
    """
    logits = _logarithms(probabilities)
    wanted = (logits[np.arange(len(labels)), labels].sum() + logits.mean(axis=1).mean()) / (len(labels) + 1)
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        expected = (_softmax(logits * middle) * logits).sum(axis=1).mean()
        low, high = (middle, high) if expected < wanted else (low, middle)
    return 1 / middle


def calibrate(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Fit a temperature to validation images, at least 4, and say honestly what it is worth.

    What is reported is measured on images that did not take part in the fit: one half of them has the temperature that
    the other half asks for. The temperature itself is fitted on all of them.

    Returns:
        `temperature`; `num_images`; `before` and `after`, each with `ece` (0 to 1) and `loss` (nats).
    """
    order = np.random.default_rng(0).permutation(len(labels))
    after = np.empty(probabilities.shape, np.float32)
    for part, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        after[part] = at_temperature(probabilities[part], fit_temperature(probabilities[other], labels[other]))
    return {
        "temperature": fit_temperature(probabilities, labels),
        "num_images": len(labels),
        "before": scores(probabilities, labels),
        "after": scores(after, labels),
    }


# What is measured of probabilities, before and after calibration: float (N, classes), for labels, integer (N,).
SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ece": expected_calibration_error,
    "loss": metrics.cross_entropy,
}


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return each of `SCORES`: the calibration error `ece` (0 to 1), the `loss` (nats)."""
    return {name: score(probabilities, labels) for name, score in SCORES.items()}


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, _SMALLEST, dtype=np.float64))


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
