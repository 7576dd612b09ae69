"""Chooses from a training set the images that are used, and those of them for validation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import InputError


def split_indices(
    labels: NDArray[np.integer], validation_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a validation set out of a training set, keeping each class's share in both (stratified).

    The validation set has exactly `round(N * validation_fraction)` images. A class's part is rounded by largest
    remainder, so it is off its exact share by less than one image.

    Args:
        labels: integers (N,).
        validation_fraction: from 0 (no validation set) to below 1.
        seed: 0 or more; the same seed and labels give the same split.

    Returns:
        Indices of training and of validation images: int64, sorted, disjoint, together 0 to N - 1.

    Raises:
        InputError: fraction or seed is out of range.
    """
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction is {validation_fraction}; expected 0 <= validation_fraction < 1")
    if seed < 0:
        raise InputError(f"seed is {seed}; expected 0 or more")
    random = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    total = round(len(labels) * validation_fraction)
    # In whole numbers, so that no rounding error of floats can move an image.
    shares, remainders = np.divmod(counts.astype(np.int64) * total, max(len(labels), 1))
    shares[np.argsort(-remainders, kind="stable")[: total - shares.sum()]] += 1
    chosen = np.zeros(len(labels), bool)
    for label, share in zip(classes, shares, strict=True):
        chosen[random.permutation(np.flatnonzero(labels == label))[:share]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def run_split(config: dict[str, Any], labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training and validation images of a run, from its `config.json` and all training labels (N,).

    With a limit these are the first images, as long as they have all the classes that there are. Otherwise, as where
    the images are sorted by class, they are a stratified sample, drawn from the seed.
    """
    data, seed = config["data"], config["training"]["seed"]
    used = np.arange(len(labels))[: data["limit"]]
    if len(np.unique(labels[used])) < len(np.unique(labels)):
        _, used = split_indices(labels, len(used) / len(labels), seed)
    train, validation = split_indices(labels[used], data["validation_fraction"], seed)
    return used[train], used[validation]
