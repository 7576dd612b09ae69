"""Folds of a training set: each image is held out once, and each fold has each class's share."""

import numpy as np
import pytest

from fmnist.data import fold_indices
from fmnist.errors import InputError

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 4], [31, 8, 3, 60])).astype(np.uint8)


@pytest.mark.parametrize("folds", [2, 5, 7, len(LABELS)])
def test_each_image_is_held_out_once(folds):
    parts = [fold_indices(LABELS, folds, fold, seed=3) for fold in range(folds)]
    for train, held_out in parts:
        assert train.dtype == held_out.dtype == np.int64
        assert (np.diff(train) > 0).all() and (np.diff(held_out) > 0).all()
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(len(LABELS)))
    np.testing.assert_array_equal(np.sort(np.concatenate([held_out for _, held_out in parts])), np.arange(len(LABELS)))


def test_folds_are_stratified():
    counts = np.array([np.bincount(LABELS[fold_indices(LABELS, 5, fold, 0)[1]], minlength=5) for fold in range(5)])
    assert np.ptp(counts, axis=0).max() <= 1 and np.ptp(counts.sum(axis=1)) <= 1


def test_the_partition_of_a_seed_stays_what_it_was():
    """Runs are repeatable only as long as this holds."""
    _, held_out = fold_indices(np.arange(20) % 2, 4, 1, seed=42)
    assert held_out.tolist() == [4, 7, 12, 13, 16]
    assert fold_indices(np.arange(20) % 2, 4, 1, seed=43)[1].tolist() != held_out.tolist()


@pytest.mark.parametrize(
    ("folds", "fold", "seed", "told"),
    [
        (1, 0, 0, "folds is 1; expected 2 to 102, the number of images"),
        (103, 0, 0, "folds is 103; expected 2 to 102"),
        (5, 5, 0, "fold is 5; expected 0 to 4, since there are 5 folds"),
        (5, -1, 0, "fold is -1; expected 0 to 4"),
        (5, 0, -1, "seed is -1; expected 0 or more"),
    ],
)
def test_what_is_out_of_range(folds, fold, seed, told):
    with pytest.raises(InputError, match=told):
        fold_indices(LABELS, folds, fold, seed)
