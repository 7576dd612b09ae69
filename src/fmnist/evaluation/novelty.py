"""Describes the training pictures in a few thousand numbers, and scores how unlike them another picture is.

It looks at pixels, not at what a network makes of them, so it is the same for a run and all its exported files.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmnist.errors import InputError

THRESHOLD = 1.0
"""A picture whose unfamiliarity is above this is called unfamiliar."""

CELLS = 5  # rows and columns of cells; of each cell only the mean grey level counts
# The share of the validation pictures that lie below the threshold. Photos of garments are a little less like the
# training pictures than these are like each other: of 5% of alarms on validation they would make 10%.
QUANTILE = 0.98
# The spread within a class is mixed with that of all classes, which counts as so many pictures; and a cell's grey
# level spreads by 1 at least.
_PICTURES, _SPREAD = 50, 1.0
_TOGETHER = 2000  # pictures that are held as floats at a time


@dataclass(frozen=True, eq=False)
class Novelty:
    """Describes training pictures by a Gaussian for each class, over the mean grey levels of cells of the picture."""

    means: np.ndarray  # float32 (classes, cells²)
    whitening: np.ndarray  # float32 (classes, cells², cells²), lower triangles L; L Lᵀ is the inverse of the covariance
    typical: float = 0.0  # the median of `distance` over the validation pictures
    limit: float = 1.0  # their quantile that the threshold lies at

    def distance(self, images: np.ndarray) -> np.ndarray:
        """Return how far images, uint8 (N, H, W, C), are from the nearest class: float32 (N,).

        It is minus twice the logarithm of the class's density, without the constant that all classes share.
        """
        seen = cells(images)
        # The logarithm of a determinant, twice: that of a triangle is the product of its diagonal.
        volumes = -2 * np.log(np.abs(np.diagonal(self.whitening, axis1=1, axis2=2))).sum(axis=1)
        gaussians = zip(self.means, self.whitening, volumes, strict=True)
        distances = [(((seen - mean) @ triangle) ** 2).sum(axis=1) + volume for mean, triangle, volume in gaussians]
        return np.asarray(np.min(distances, axis=0), np.float32)

    def unfamiliarity(self, images: np.ndarray) -> np.ndarray:
        """Return how unfamiliar images, uint8 (N, H, W, C), are: float32 (N,), 0 for a typical one, unbounded.

        Above 1 (`THRESHOLD`) they are called unfamiliar.
        """
        return (self.distance(images) - np.float32(self.typical)) / np.float32(self.limit - self.typical)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON: arrays as base64 of little-endian float16, triangles row by row."""
        rows, columns = np.tril_indices(self.means.shape[1])
        return {
            "cells": round(self.means.shape[1] ** 0.5),
            "classes": len(self.means),
            "means": _text(self.means),
            "whitening": _text(self.whitening[:, rows, columns]),
            "typical": self.typical,
            "limit": self.limit,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Novelty:
        """Rebuild it from `to_dict`.

        Raises:
            InputError: the values are no such thing.
        """
        try:
            classes, size = int(values["classes"]), int(values["cells"]) ** 2
            if not (1 <= classes <= 10_000 and size == CELLS**2):
                raise ValueError(f"{classes} classes, {size} cells")
            whitening = np.zeros((classes, size, size), np.float32)
            rows, columns = np.tril_indices(size)
            whitening[:, rows, columns] = _array(values["whitening"], (classes, len(rows)))
            means = _array(values["means"], (classes, size))
            found = cls(means, whitening, float(values["typical"]), float(values["limit"]))
            if not (0 < found.limit - found.typical < np.inf and np.diagonal(whitening, axis1=1, axis2=2).all()):
                raise ValueError("no Gaussians")
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise InputError(
                f"what is said of the training pictures is damaged ({type(error).__name__}: {error}); export it again"
            ) from error
        return found


def fit(images: np.ndarray, labels: np.ndarray, validation_images: np.ndarray) -> Novelty:
    """Describe training images, uint8 (N, H, W, C), and place the threshold, above which 2% of the others lie."""
    seen = cells(images)
    groups = [seen[labels == label] for label in np.unique(labels)]
    means = np.stack([group.mean(axis=0) for group in groups])
    scatters = np.stack([(group - mean).T @ (group - mean) for group, mean in zip(groups, means, strict=True)])
    pooled = scatters.sum(axis=0) / len(seen)
    counts = np.array([len(group) for group in groups], np.float32)[:, np.newaxis, np.newaxis]
    covariances = (scatters + _PICTURES * pooled) / (counts + _PICTURES) + _SPREAD**2 * np.eye(seen.shape[1])
    whitening = np.linalg.cholesky(np.linalg.inv(covariances))
    # Rounded as it will be stored, before the threshold is placed.
    rounded = Novelty(_rounded(means), _rounded(whitening))
    typical, limit = np.quantile(rounded.distance(validation_images), (0.5, QUANTILE))
    # One validation picture, or several that are the same, have no spread of their own.
    return Novelty(rounded.means, rounded.whitening, float(typical), float(max(limit, typical + 1.0)))


def cells(images: np.ndarray) -> np.ndarray:
    """Return the mean grey levels (0 to 255) of 5 × 5 cells of images, uint8 (N, H, W, C): float32 (N, 25).

    A pixel that two cells share counts in each by its part. Of a colour its mean level counts.
    """
    down, across = (_shares(side) for side in images.shape[1:3])
    parts = range(0, max(len(images), 1), _TOGETHER)
    means = [down @ images[start : start + _TOGETHER].mean(axis=-1, dtype=np.float32) @ across.T for start in parts]
    return np.concatenate(means).reshape(len(images), CELLS**2)


def _shares(side: int) -> np.ndarray:
    """Return how much of each cell's mean is a pixel's: float32 (cells, side), rows that sum to 1."""
    edges, pixels = np.linspace(0, side, CELLS + 1), np.arange(side)
    overlap = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(edges[:-1, np.newaxis], pixels)
    return (overlap.clip(0) * (CELLS / side)).astype(np.float32)


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f2").tobytes()).decode()


def _array(text: str, shape: tuple[int, int]) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("a number that is none")
    return array
