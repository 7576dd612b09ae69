"""Tells what is in a data set: counts, pixel statistics, class balance and exact duplicates, ready for JSON."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.data import shape
from fmnist.data.dataset import Dataset

_BLOCK = 1024  # images: np.bincount makes eight bytes of each pixel


def inspect(dataset: Dataset) -> dict[str, Any]:
    """Return the facts about a data set as a JSON-ready dictionary.

    Returns:
        `source`, `sha256` (file name -> hexadecimal), `dtype`, `image_shape` ([H, W], [H, W, 3] in colour),
        `num_classes`, `class_names`, `notes` (what is odd about the labels), `num_validation` (how many of the training
        images came as a part for validation);
        `train` and `test`, each with
            `num_images`, `class_counts` (a number a class),
            `minimum` and `maximum` (0 to 255), `mean` and `std` of the pixels scaled to [0, 1],
            `duplicates`: images that repeat an earlier one of the same part byte for byte,
            `duplicates_other_label`: those of them that carry another label than the first such image;
        `test_in_train`: test images that are in the training set too, byte for byte, and `test_in_train_other_label`:
        those of them whose label no such training image has.
    """
    train_digests, test_digests = digests(dataset.train_images), digests(dataset.test_images)
    known, labelled = set(train_digests), set(zip(train_digests, dataset.train_labels.tolist(), strict=True))
    tested = zip(test_digests, dataset.test_labels.tolist(), strict=True)
    same_label = [pair in labelled for pair in tested if pair[0] in known]
    return {
        "source": dataset.source,
        "sha256": dict(dataset.sha256),
        "dtype": str(dataset.train_images.dtype),
        "image_shape": shape.stored(dataset.image_shape),
        "num_classes": dataset.num_classes,
        "class_names": list(dataset.class_names),
        "notes": dataset.notes,
        "num_validation": dataset.num_validation,
        "train": _part(dataset.train_images, dataset.train_labels, train_digests, dataset.num_classes),
        "test": _part(dataset.test_images, dataset.test_labels, test_digests, dataset.num_classes),
        "test_in_train": len(same_label),
        "test_in_train_other_label": same_label.count(False),
    }


def _part(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], digests: list[bytes], num_classes: int
) -> dict[str, Any]:
    # How often each of the 256 values occurs is exact, and all that range, mean and deviation need.
    blocks = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
    counts = sum((np.bincount(block.ravel(), minlength=256) for block in blocks), np.zeros(256, np.int64))
    present = np.flatnonzero(counts)
    values = np.arange(256) / 255
    mean = float(counts @ values / counts.sum())
    labelled = list(zip(digests, labels.tolist(), strict=True))
    first_label = dict(reversed(labelled))
    return {
        "num_images": len(images),
        "class_counts": np.bincount(labels, minlength=num_classes).tolist(),
        "minimum": int(present[0]),
        "maximum": int(present[-1]),
        "mean": mean,
        "std": float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum())),
        "duplicates": len(labelled) - len(first_label),
        "duplicates_other_label": sum(first_label[digest] != label for digest, label in labelled),
    }


def digests(images: NDArray[np.uint8]) -> list[bytes]:
    """Return the SHA-256 of each image's bytes."""
    return [hashlib.sha256(image).digest() for image in np.ascontiguousarray(images)]
