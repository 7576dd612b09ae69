"""Finds the slices of a data set on which a model fails: a class, a brightness, a size of the object, or several.

Knows no model and no files.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist.evaluation.metrics import wilson_interval
from fmnist.text import percent, plural

BRIGHTNESS, SIZE = ("dark", "medium bright", "bright"), ("small", "medium large", "large")
FEWEST = 20  # images of a slice
# The share of data sets without a weak slice in which one would be named all the same.
_FALSE = 0.05
_OBJECT = 25  # levels, of 255, by which an object differs from the ground
Traits = tuple[int | None, ...]  # a class, a third by brightness, a third by size; None for all
_TOGETHER = 2**22  # values that are held as floats at a time


def look(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the brightness of each image's object (mean level, 0 to 255) and its size (share of the image, 0 to 1).

    The object is what differs by more than 25 levels from the ground, the median of the image's border. An image
    without any has the size 0 and its own brightness. Images are uint8 (N, H, W, C), both results float32 (N,).
    """
    step = max(1, _TOGETHER // max(1, images[:1].size))
    parts = [_look(images[start : start + step].astype(np.float32)) for start in range(0, len(images), step)]
    brightness, size = zip(*parts, strict=True)
    return np.concatenate(brightness), np.concatenate(size)


def _look(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    ground = np.median(np.concatenate(edges, axis=1), axis=1)[:, np.newaxis, np.newaxis]
    inside = np.abs(images - ground).max(axis=-1) > _OBJECT
    size, levels = inside.mean(axis=(1, 2), dtype=np.float32), images.mean(axis=-1)
    of_object = (levels * inside).sum(axis=(1, 2)) / inside.sum(axis=(1, 2)).clip(1)
    return np.where(size > 0, of_object, levels.mean(axis=(1, 2))).astype(np.float32), size


def failing(
    images: np.ndarray, labels: np.ndarray, correct: np.ndarray, class_names: Sequence[str], most: int = 5
) -> list[dict[str, Any]]:
    """Return the slices on which fewer images are correct than elsewhere, the worst first.

    A slice has a class, a third by brightness, a third by size, or two or all of these. It is named if the interval of
    its accuracy lies below the accuracy of the whole and of every wider slice that it is a part of, so that a weak
    class isn't named again for its dark images unless these are weaker still; and if it is weak without the narrower
    slices that are named, so that a class isn't named for its dark images alone. The intervals are Wilson's, together
    of 95%: each is widened for the number of slices that were looked at (Bonferroni).

    Args:
        images: uint8 (N, H, W, C).
        labels: integer (N,), the true classes.
        correct: bool (N,), whether each image is classified correctly.
        class_names: a name for each class.
        most: how many are returned at most.

    Returns:
        For each its `traits` in words, `accuracy`, `interval`, `correct` and `num_images`.
    """
    thirds = [np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values) for values in look(images)]
    columns = list(zip((labels, *thirds), (class_names, BRIGHTNESS, SIZE), strict=True))
    inside: dict[Traits, np.ndarray] = {}
    for traits in itertools.product(*([None, *range(len(names))] for _, names in columns)):
        chosen = [values == trait for (values, _), trait in zip(columns, traits, strict=True) if trait is not None]
        if (mask := np.logical_and.reduce(chosen or [labels == labels])).sum() >= FEWEST:
            inside[traits] = mask
    confidence = 1 - _FALSE / max(1, len(inside) - 1)

    def interval(mask: np.ndarray) -> tuple[float, float]:
        return wilson_interval(int(correct[mask].sum()), int(mask.sum()), confidence)

    found: list[dict[str, Any]] = []
    explained = np.zeros(len(labels), bool)  # by the slices that are named
    for traits in sorted(inside, key=lambda traits: traits.count(None)):  # the narrow ones first
        mask, wider = inside[traits], set(itertools.product(*({None, trait} for trait in traits))) - {traits}
        rest = mask & ~explained
        weak = wider and all(interval(mask)[1] < correct[inside[other]].mean() for other in wider)
        if weak and rest.sum() >= FEWEST and interval(rest)[1] < correct.mean():
            explained |= mask
            told = [names[trait] for trait, (_, names) in zip(traits, columns, strict=True) if trait is not None]
            scores = {"accuracy": float(correct[mask].mean()), "interval": list(interval(mask))}
            scores |= {"correct": int(correct[mask].sum()), "num_images": int(mask.sum())}
            found.append({"traits": told, **scores})
    return sorted(found, key=lambda row: row["accuracy"])[:most]


def sentence(row: dict[str, Any], accuracy: float) -> str:
    """Tell a row of `failing` in words, beside the accuracy (0 to 1) on all images."""
    traits, images = ", ".join(row["traits"]), plural(row["num_images"], "image")
    return f"{traits}: {percent(row['accuracy'])} of {images} correct ({percent(accuracy)} on all)"
