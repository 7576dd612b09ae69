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


def fold_indices(
    labels: NDArray[np.integer], folds: int, fold: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut one of several folds out of a training set, keeping each class's share in both parts (stratified).

    Over all folds each image is held out exactly once. The images, shuffled within their class and class after class,
    are dealt out like cards, so that the folds' sizes differ by at most one image, and by at most one of each class.

    Args:
        labels: integers (N,).
        folds: how many there are, 2 to N.
        fold: which one is held out, 0 to `folds - 1`.
        seed: 0 or more; decides the partition. The same seed, labels and `folds` give the same one.

    Returns:
        Indices of the images to learn from and of those held out: int64, sorted, disjoint, together 0 to N - 1.

    Raises:
        InputError: `folds`, `fold` or `seed` is out of range.
    """
    if not 2 <= folds <= len(labels):
        raise InputError(f"folds is {folds}; expected 2 to {len(labels):,}, the number of images")
    if not 0 <= fold < folds:
        raise InputError(f"fold is {fold}; expected 0 to {folds - 1}, since there are {folds} folds")
    if seed < 0:
        raise InputError(f"seed is {seed}; expected 0 or more")
    random = np.random.default_rng(seed)
    dealt = np.concatenate([random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    held_out = np.zeros(len(labels), bool)
    held_out[dealt[fold::folds]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def run_split(
    config: dict[str, Any], labels: NDArray[np.integer], num_validation: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training and validation images of a run, from its `config.json` and all training labels (N,).

    With a limit these are the first images, as long as they have all the classes that there are. Otherwise, as where
    the images are sorted by class, they are a stratified sample, drawn from the seed. Where the run is one of several
    folds, the images that it holds out are those for validation. Else, where the data has a part for validation, the
    last `num_validation` images, it is that, all of it; with a `validation_fraction` of 0 it is learnt from.
    """
    data, seed = config["data"], config["training"]["seed"]
    if num_validation and data["validation_fraction"] and not data.get("folds"):
        first = len(labels) - num_validation
        alone = config | {"data": data | {"validation_fraction": 0.0}}
        return run_split(alone, labels[:first])[0], np.arange(first, len(labels))
    used = np.arange(len(labels))[: data["limit"]]
    if len(np.unique(labels[used])) < len(np.unique(labels)):
        _, used = split_indices(labels, len(used) / len(labels), seed)
    if data.get("folds"):  # which runs of earlier versions do not have
        train, validation = fold_indices(labels[used], data["folds"], data["fold"], seed)
    else:
        train, validation = split_indices(labels[used], data["validation_fraction"], seed)
    return used[train], used[validation]
