"""Describes the training pictures in some thousand numbers, and scores how unlike them another picture is.

It looks at pixels, not at what a network makes of them, so it is the same for a run and all its exported files.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from fmnist.errors import InputError

Looks = tuple[tuple[str, int], ...]
THRESHOLD = 1.0
"""A picture whose unfamiliarity is above this is called unfamiliar."""

# What is looked at, and in how many rows and columns of cells: of each cell the mean, then its square root, which
# spreads the dark levels. Chosen on pictures made from validation pictures (LOG.md), by the mean AUROC.
LOOKS = (("levels", 4), ("squares", 4), ("across", 3), ("down", 3))
PLAIN = "plain"  # the levels without the root: in files of earlier versions, 5 × 5 cells
# The share of the validation pictures that lie below the threshold. Photos of garments are a little less like the
# training pictures than these are like each other: of 5% of alarms on validation they would make 10%.
QUANTILE = 0.98
# The spread within a class is mixed with that of all classes, which counts as so many pictures; and what is seen
# spreads by 1 at least, of 255.
_PICTURES, _SPREAD = 50, 1.0
_MOST_CELLS = 32  # a side
_TOGETHER = 2000  # pictures that are held as floats at a time


@dataclass(frozen=True, eq=False)
class Novelty:
    """Describes training pictures by a Gaussian for each class, over what is seen in cells of the picture."""

    means: np.ndarray  # float32 (classes, seen)
    whitening: np.ndarray  # float32 (classes, seen, seen), lower triangles L; L Lᵀ is the inverse of the covariance
    typical: float = 0.0  # the median of `distance` over the validation pictures
    limit: float = 1.0  # their quantile that the threshold lies at
    looks: Looks = LOOKS

    def distance(self, images: np.ndarray) -> np.ndarray:
        """Return how far images, uint8 (N, H, W, C), are from the nearest class: float32 (N,).

        It is minus twice the logarithm of the class's density, without the constant that all classes share.
        """
        seen = see(images, self.looks)
        parts = [seen[start : start + _TOGETHER] for start in range(0, max(len(seen), 1), _TOGETHER)]
        return np.concatenate([self._distances(part).min(axis=0) for part in parts])

    def _distances(self, seen: np.ndarray) -> np.ndarray:
        """Return how far what is seen, float32 (N, seen), is from each class: float32 (classes, N)."""
        away = (seen - self.means[:, np.newaxis]) @ self.whitening
        return np.einsum("cns,cns->cn", away, away) + self._volumes

    @cached_property
    def _volumes(self) -> np.ndarray:
        """The logarithm of each class's determinant, float32 (classes, 1): a triangle's is that of its diagonal."""
        return -2 * np.log(np.abs(np.diagonal(self.whitening, axis1=1, axis2=2))).sum(axis=1, keepdims=True)

    def unfamiliarity(self, images: np.ndarray) -> np.ndarray:
        """Return how unfamiliar images, uint8 (N, H, W, C), are: float32 (N,), 0 for a typical one, unbounded.

        Above 1 (`THRESHOLD`) they are called unfamiliar.
        """
        return (self.distance(images) - np.float32(self.typical)) / np.float32(self.limit - self.typical)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON: arrays as base64 of little-endian float16, triangles row by row."""
        rows, columns = np.tril_indices(self.means.shape[1])
        return {
            "looks": [list(look) for look in self.looks],
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
            told = values.get("looks") or [(PLAIN, values["cells"])]
            looks = tuple((str(name), int(count)) for name, count in told)
            if not all(name in _MAPS and 1 <= count <= _MOST_CELLS for name, count in looks):
                raise ValueError(f"looks {looks}")
            classes, size = int(values["classes"]), sum(count**2 for _, count in looks)
            means = _array(values["means"], (classes, size))
            triangles = _array(values["whitening"], (classes, size * (size + 1) // 2))
            # Only now, so that a text is as long as what is made of it.
            whitening = np.zeros((classes, size, size), np.float32)
            rows, columns = np.tril_indices(size)
            whitening[:, rows, columns] = triangles
            found = cls(means, whitening, float(values["typical"]), float(values["limit"]), looks)
            if not (0 < found.limit - found.typical < np.inf and np.diagonal(whitening, axis1=1, axis2=2).all()):
                raise ValueError("no Gaussians")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise InputError(
                f"what is said of the training pictures is damaged ({type(error).__name__}: {error}); export it again"
            ) from error
        return found


def fit(images: np.ndarray, labels: np.ndarray, validation_images: np.ndarray, looks: Looks = LOOKS) -> Novelty:
    """Describe training images, uint8 (N, H, W, C), and place the threshold, above which 2% of the others lie."""
    seen = see(images, looks).astype(np.float64)
    groups = [seen[labels == label] for label in np.unique(labels)]
    means = np.stack([group.mean(axis=0) for group in groups])
    scatters = np.stack([(group - mean).T @ (group - mean) for group, mean in zip(groups, means, strict=True)])
    pooled = scatters.sum(axis=0) / len(seen)
    counts = np.array([len(group) for group in groups], np.float32)[:, np.newaxis, np.newaxis]
    covariances = (scatters + _PICTURES * pooled) / (counts + _PICTURES) + _SPREAD**2 * np.eye(seen.shape[1])
    whitening = np.linalg.cholesky(np.linalg.inv(covariances))
    # Rounded as it will be stored, before the threshold is placed.
    rounded = Novelty(_rounded(means), _rounded(whitening), looks=looks)
    typical, limit = np.quantile(rounded.distance(validation_images), (0.5, QUANTILE))
    # One validation picture, or several that are the same, have no spread of their own.
    return Novelty(rounded.means, rounded.whitening, float(typical), float(max(limit, typical + 1.0)), looks)


def see(images: np.ndarray, looks: Looks = LOOKS) -> np.ndarray:
    """Return what is seen of images, uint8 (N, H, W, C), in the cells of each look, 0 to 255: float32 (N, seen)."""
    parts = [images[start : start + _TOGETHER] for start in range(0, max(len(images), 1), _TOGETHER)]
    return np.concatenate([_see(part, looks) for part in parts])


def _see(images: np.ndarray, looks: Looks) -> np.ndarray:
    """Return what is seen of a few images; of a colour the mean of its channels counts."""
    levels = images[..., 0].astype(np.float32) if images.shape[-1] == 1 else images.mean(axis=-1, dtype=np.float32)
    return np.concatenate([_look(levels, *look) for look in looks], axis=1)


def _look(levels: np.ndarray, name: str, count: int) -> np.ndarray:
    """Return the means of count × count cells of images, (N, H, W); a pixel in two cells counts in each by its part."""
    down, across = (_shares(side, count) for side in levels.shape[1:])
    means = (down @ _MAPS[name](levels) @ across.T).reshape(len(levels), count**2)
    return means if name == PLAIN else np.sqrt(255 * means)


# What a look makes of images, float32 (N, H, W), for each pixel: 0 to 255. Steps go to the next pixel; behind the last
# one all is black.
_MAPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    PLAIN: lambda images: images,
    "levels": lambda images: images,
    "squares": lambda images: images**2 / 255,
    "across": lambda images: np.abs(np.diff(images, axis=2, append=np.float32(0))),
    "down": lambda images: np.abs(np.diff(images, axis=1, append=np.float32(0))),
}


@cache
def _shares(side: int, count: int) -> np.ndarray:
    """Return how much of each cell's mean is a pixel's: float32 (cells, side), rows that sum to 1."""
    edges, pixels = np.linspace(0, side, count + 1), np.arange(side)
    overlap = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(edges[:-1, np.newaxis], pixels)
    return (overlap.clip(0) * (count / side)).astype(np.float32)


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f2").tobytes()).decode()


def _array(text: str, shape: tuple[int, int]) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("a number that is none")
    return array
