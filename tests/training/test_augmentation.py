"""An epoch's data: a pure function of (seed, epoch)."""

import numpy as np
import pytest

from fmnist.config import AugmentationConfig
from fmnist.training import augmentation
from fmnist.training.augmentation import Epochs, erase, make_epoch, random_erase, shift, warp

MIXED = {"mixup": 0.4, "cutmix": 1.0, "unmixed": 0.5}
EVERYTHING = AugmentationConfig(flip=True, shift=2, rotation=15.0, zoom=0.1, erase=0.3, random_erase=0.5, **MIXED)
IMAGES = np.random.default_rng(0).integers(1, 256, (50, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize("config", [AugmentationConfig(), EVERYTHING])
def test_the_same_seed_and_epoch_give_the_same_data(config):
    first, again = make_epoch(IMAGES, config, 3, 1), make_epoch(IMAGES, config, 3, 1)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[1], make_epoch(IMAGES, config, 3, 2)[1])
    assert not np.array_equal(first[1], make_epoch(IMAGES, config, 4, 1)[1])


def test_without_augmentation_an_epoch_is_a_permutation():
    images, order, flipped, mix = make_epoch(IMAGES, AugmentationConfig(), 0, 0)
    assert not flipped.any() and mix is None
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    np.testing.assert_array_equal(images, IMAGES[order])


def test_flips_alternate():
    config = AugmentationConfig(flip=True)
    seen = np.zeros((2, 50), bool)
    for epoch in (0, 1):
        images, order, flipped, _ = make_epoch(IMAGES, config, 0, epoch)
        mirrored = (images == IMAGES[order][:, :, ::-1]).all(axis=(1, 2))
        assert (mirrored | (images == IMAGES[order]).all(axis=(1, 2))).all()
        seen[epoch, order] = mirrored
        np.testing.assert_array_equal(flipped, mirrored)
    assert (seen[0] != seen[1]).all()
    assert 10 < seen[0].sum() < 40


def test_a_switch_leaves_the_order_as_it_was():
    plain = make_epoch(IMAGES, AugmentationConfig(), 0, 0)[1]
    np.testing.assert_array_equal(plain, make_epoch(IMAGES, EVERYTHING, 0, 0)[1])


def test_each_augmentation_has_a_stream_of_its_own(monkeypatch):
    """With all others switched on, each is asked for what it is asked for alone."""
    asked = []
    monkeypatch.setattr(augmentation, "shift", lambda images, pixels, rng: asked.append(rng.integers(1000)) or images)
    monkeypatch.setattr(augmentation, "erase", lambda images, share, rng: asked.append(rng.integers(1000)) or images)
    monkeypatch.setattr(augmentation, "random_erase", augmentation.erase)
    monkeypatch.setattr(augmentation, "warp", lambda images, *how: asked.extend(how) or images)
    make_epoch(IMAGES, EVERYTHING, 0, 5)
    degrees, scales, shifted, erased, filled = asked
    asked.clear()
    make_epoch(IMAGES, AugmentationConfig(rotation=15.0), 0, 5)
    make_epoch(IMAGES, AugmentationConfig(zoom=0.1), 0, 5)
    make_epoch(IMAGES, AugmentationConfig(shift=2), 0, 5)
    make_epoch(IMAGES, AugmentationConfig(erase=0.3), 0, 5)
    make_epoch(IMAGES, AugmentationConfig(random_erase=0.5), 0, 5)
    alone = [degrees, np.ones(50), np.zeros(50), scales, shifted, erased, filled]
    for value, expected in zip(asked, alone, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert len({shifted, erased, filled}) == 3
    assert 13 < np.abs(degrees).max() <= 15 and 0.09 < np.abs(scales - 1).max() <= 0.1
    assert np.abs(np.corrcoef(degrees, scales)[0, 1]) < 0.4


def test_warps_by_quarter_turns_are_exact():
    images = np.concatenate([IMAGES] * 3)[: augmentation.CHUNK + 1]  # more than one chunk
    ones = np.ones(len(images))
    for quarters in range(-2, 3):
        turned = warp(images, 90.0 * quarters * ones, ones)
        assert turned.dtype == np.uint8
        np.testing.assert_array_equal(turned, np.rot90(images, quarters, axes=(1, 2)))


def test_each_image_is_warped_by_its_own_numbers():
    degrees, scales = np.array([0.0, 90.0, 37.0, 0.0]), np.array([1.0, 1.0, 0.8, 1.5])
    together = warp(IMAGES[:4], degrees, scales)
    for place in range(4):
        alone = warp(IMAGES[place : place + 1], degrees[place : place + 1], scales[place : place + 1])
        np.testing.assert_array_equal(together[place], alone[0])


def test_a_zoom_worked_by_hand():
    """Enlarged by two, a pixel at distance d from the centre shows the place at d / 2; the sides are unequal."""
    image = np.array([[0, 0, 0, 0], [0, 100, 200, 0], [0, 60, 20, 0]], np.uint8)[None]
    # rows -1, 0, 1 show rows 0.5, 1, 1.5; columns -1.5 … 1.5 show columns 0.75, 1.25, 1.75, 2.25
    rows = [[37.5, 62.5, 87.5, 75], [75, 125, 175, 150], [60, 90, 0, 0]]
    rows[2] = [(75 + 45) / 2, (125 + 50) / 2, (175 + 30) / 2, (150 + 15) / 2]
    np.testing.assert_array_equal(warp(image, np.zeros(1), np.full(1, 2.0))[0], np.floor(np.array(rows) + 0.5))
    # Shrunk to a half, the corners lie outside and are zero.
    half = warp(np.full((1, 8, 8), 200, np.uint8), np.zeros(1), np.full(1, 0.5))[0]
    expected = np.zeros((8, 8), np.uint8)
    expected[2:6, 2:6] = 200
    np.testing.assert_array_equal(half, expected)


def test_a_turn_by_a_few_degrees_follows_the_clock_backwards():
    image = np.zeros((1, 21, 21), np.uint8)
    image[0, 10, 18] = 255  # eight pixels right of the centre
    turned = warp(image, np.full(1, 30.0), np.ones(1))[0].astype(float)
    rows, columns = (np.average(grid, weights=turned) for grid in np.indices((21, 21)))
    assert (10 - rows, columns - 10) == pytest.approx((8 * np.sin(np.pi / 6), 8 * np.cos(np.pi / 6)), abs=0.15)


def test_erasing_blanks_one_square_and_nothing_else():
    images = np.full((400, 20, 28), 9, np.uint8)
    erased = erase(images, 0.3, np.random.default_rng(0))
    sizes = set()
    for image in erased:
        rows, columns = np.flatnonzero((image == 0).any(axis=1)), np.flatnonzero((image == 0).any(axis=0))
        assert (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
        assert (image == 9).sum() == 20 * 28 - len(rows) * len(columns)
        sizes.add((len(rows), len(columns)))
    assert max(sizes) == (6, 6) and min(sizes) == (3, 3)  # cut at the borders, centre always inside
    assert (erased == 0).any(axis=0).all()
    assert (images == 9).all()
    assert (erase(images, 0.0, np.random.default_rng(0)) == 9).all()


def test_random_erasing_fills_one_rectangle_of_a_share_of_the_images_with_noise():
    images = np.zeros((2000, 20, 28), np.uint8)
    filled = random_erase(images, 0.5, np.random.default_rng(0))
    assert (images == 0).all() and (random_erase(images, 0.0, np.random.default_rng(0)) == 0).all()
    changed = filled[filled.any(axis=(1, 2))]
    assert 0.45 < len(changed) / len(images) < 0.55
    areas, noise = [], []
    for image in changed:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        areas.append(inside.size / image.size)
        noise.append((inside == 0).mean())
    assert 0.01 < min(areas) < 0.04 and 0.25 < max(areas) < 0.33 and 0.13 < np.mean(areas) < 0.18
    assert np.mean(noise) < 0.02 and 120 < changed[changed > 0].mean() < 136
    assert (changed > 0).any(axis=0).all()


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
        images, order, *_ = epochs.take(epoch, more=epoch != 6)
        wanted = make_epoch(IMAGES, config, 3, epoch)
        np.testing.assert_array_equal(images, wanted[0])
        np.testing.assert_array_equal(order, wanted[1])
