"""An epoch's data: a pure function of (seed, epoch)."""

import numpy as np
import pytest

from fmnist.augment import Epochs, epoch_images, shift
from fmnist.config import AugmentationConfig

IMAGES = np.random.default_rng(0).integers(1, 256, (50, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize("config", [AugmentationConfig(), AugmentationConfig(flip=True, shift=2)])
def test_the_same_seed_and_epoch_give_the_same_data(config):
    first, again = epoch_images(IMAGES, config, 3, 1), epoch_images(IMAGES, config, 3, 1)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[1], epoch_images(IMAGES, config, 3, 2)[1])
    assert not np.array_equal(first[1], epoch_images(IMAGES, config, 4, 1)[1])


def test_without_augmentation_an_epoch_is_a_permutation():
    images, order = epoch_images(IMAGES, AugmentationConfig(), 0, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    np.testing.assert_array_equal(images, IMAGES[order])


def test_flips_alternate():
    config = AugmentationConfig(flip=True)
    seen = np.zeros((2, 50), bool)
    for epoch in (0, 1):
        images, order = epoch_images(IMAGES, config, 0, epoch)
        mirrored = (images == IMAGES[order][:, :, ::-1]).all(axis=(1, 2))
        assert (mirrored | (images == IMAGES[order]).all(axis=(1, 2))).all()
        seen[epoch, order] = mirrored
    assert (seen[0] != seen[1]).all()
    assert 10 < seen[0].sum() < 40


def test_a_switch_leaves_the_order_as_it_was():
    plain = epoch_images(IMAGES, AugmentationConfig(), 0, 0)[1]
    np.testing.assert_array_equal(plain, epoch_images(IMAGES, AugmentationConfig(flip=True, shift=3), 0, 0)[1])


def test_shift_moves_whole_pixels_and_fills_with_zeros():
    moved = shift(IMAGES, 2, np.random.default_rng(0))
    found = set()
    for before, after in zip(IMAGES, moved, strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(after, _moved(before, down, right))
        ]
        assert len(matches) == 1
        found.update(matches)
    assert len(found) > 15


def _moved(image, down, right):
    result = np.zeros_like(image)
    height, width = image.shape
    rows, columns = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    from_rows, from_columns = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    result[rows, columns] = image[from_rows, from_columns]
    return result


def test_epochs_prepared_ahead_are_the_same():
    """In order, begun in the middle, and asked for out of order: what comes is a function of (seed, epoch)."""
    config = AugmentationConfig(flip=True, shift=2)
    epochs = Epochs(IMAGES, config, 3)
    for epoch in (4, 5, 6, 2):
        images, order = epochs.take(epoch, more=epoch != 6)
        wanted = epoch_images(IMAGES, config, 3, epoch)
        np.testing.assert_array_equal(images, wanted[0])
        np.testing.assert_array_equal(order, wanted[1])
