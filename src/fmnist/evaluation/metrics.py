"""Computes a classifier's scores from its probabilities, in plain numpy. Knows no model and no files."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

# Probabilities are clipped here before the logarithm, so that one certain mistake costs 16.1 and not infinity
# (1e-7 is Keras's epsilon).
EPSILON = 1e-7


# A class that has so many times the images of another makes a data set uneven.
UNEVEN = 3


def uneven(counts: Sequence[int] | np.ndarray) -> bool:
    """Whether the largest class has more than 3 times the images of the smallest; classes without any are left out."""
    present = [count for count in counts if count]
    return max(present) > UNEVEN * min(present)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of `losses`."""
    return float(losses(probabilities, labels).mean())


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each image's negative log-probability (nats) of its true class: of float (N, classes), integer (N,)."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.clip(chosen, EPSILON, 1.0)))


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share (0 to 1) of images whose most probable class is the true one."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a share (0 to 1) of `correct` out of `total` independent images.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Raises:
        ValueError: `total` is not positive, or `correct` is not between 0 and `total`.
    """
    if total <= 0 or not 0 <= correct <= total:
        raise ValueError(f"got {correct} correct of {total}; expected 0 <= correct <= total and total > 0")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Count images by true class (row) and predicted class (column): int64 (classes, classes)."""
    cells = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def mistake_strengths(confusion: np.ndarray) -> np.ndarray:
    """Return how strongly each cell of a confusion matrix is to be coloured, float (classes, classes), 0 to 1.

    That is the square root of its share of the row's images, which keeps rare mistakes visible; a matrix without a
    mistake of 5% is not blown up to full colour. The diagonal is 0.

    Args:
        confusion: integer (classes, classes), rows true, columns predicted.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    return np.sqrt(shares / max(float(shares.max()), 0.05))


def per_class(confusion: np.ndarray) -> list[dict[str, float]]:
    """Return precision, recall and F1 (0 to 1; 0 where undefined) and support (images) of each class (row)."""
    return [
        {
            "precision": float(hits / max(predicted, 1)),
            "recall": float(hits / max(support, 1)),
            "f1": float(2 * hits / max(predicted + support, 1)),
            "support": int(support),
        }
        for hits, predicted, support in zip(confusion.diagonal(), confusion.sum(0), confusion.sum(1), strict=True)
    ]


def frequent_confusions(metrics: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the `count` largest numbers beside the confusion matrix's diagonal, those above zero, the largest first.

    Of `metrics` (as in `metrics.json`) it takes `confusion_matrix` and `class_names`. `images` are those of the true
    class, and `share` is of them.
    """
    matrix, names = metrics["confusion_matrix"], metrics["class_names"]
    found = [
        {"true": true, "predicted": predicted, "count": number, "images": sum(row), "share": number / sum(row)}
        for place, (true, row) in enumerate(zip(names, matrix, strict=True))
        for other, (predicted, number) in enumerate(zip(names, row, strict=True))
        if place != other and number
    ]
    return sorted(found, key=lambda item: -item["count"])[:count]
