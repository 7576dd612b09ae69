"""Corruptions: pure, of any size, grey and in colour, the stronger the further from the image; some by hand."""

import numpy as np
import pytest
from scipy import ndimage

from fmnist.errors import InputError
from fmnist.evaluation.corruptions import CORRUPTIONS, STRENGTHS, chosen, corrupt

NAMES = [row.name for row in CORRUPTIONS]


def smooth(shape, seed=0):
    """Images of bumps, uint8."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    bumps = ndimage.gaussian_filter(noise, (0, 1, 1, 0))
    return np.uint8(255 * (bumps - bumps.min()) / np.ptp(bumps))


def square():
    """One grey image: a bright square on black."""
    image = np.zeros((1, 21, 21, 1), np.uint8)
    image[0, 8:13, 8:13] = 200
    return image


def test_there_are_sixteen():
    assert len(NAMES) == len(set(NAMES)) == 16


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_pure_function_in_grey_and_colour_of_any_size(name):
    for shape in ((6, 28, 28, 1), (3, 17, 30, 3)):
        images = smooth(shape)
        before = images.copy()
        distances = []
        for strength in STRENGTHS:
            found = corrupt(images, name, strength, seed=3)
            assert found.shape == shape and found.dtype == np.uint8
            np.testing.assert_array_equal(found, corrupt(images, name, strength, seed=3))
            distances.append(np.abs(found.astype(int) - images).mean())
        np.testing.assert_array_equal(images, before)
        assert 0 < distances[0] < distances[2] < distances[4]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gaussian-blur", "contrast", "inversion", "jpeg", "pixelation"}))
def test_what_is_drawn_follows_the_seed_and_differs_between_images(name):
    images = np.repeat(smooth((1, 28, 28, 1)), 20, axis=0)
    found = corrupt(images, name, 3, seed=0)
    assert (found != found[:1]).any() and (found != corrupt(images, name, 3, seed=1)).any()


def test_chunks_are_no_larger_than_said(monkeypatch):
    monkeypatch.setattr("fmnist.evaluation.corruptions._TOGETHER", 2 * 28 * 28)
    images = smooth((5, 28, 28, 1))
    assert corrupt(images, "gaussian-noise", 1).shape == images.shape
    assert corrupt(images[:0], "fog", 1).shape == (0, 28, 28, 1)


def test_by_hand():
    image = square()
    np.testing.assert_array_equal(corrupt(image, "inversion", 5), 255 - image)
    np.testing.assert_array_equal(corrupt(image, "inversion", 2), np.where(image == 200, 55, 0))
    low, high = np.unique(corrupt(image, "contrast", 1))
    mean = 200 * 25 / 441
    assert (low, high) == (round(0.4 * mean), round(200 - 0.4 * (200 - mean)))
    assert np.unique(corrupt(image, "impulse-noise", 1)).tolist() == [0, 200, 255]
    np.testing.assert_array_equal(corrupt(np.full_like(image, 90), "pixelation", 5), 90)


def test_a_shift_moves_the_square_as_it_is():
    found = corrupt(square().repeat(9, axis=0), "shift", 2)
    for image in found[..., 0]:
        (rows, columns) = np.nonzero(image)
        assert image.sum() == 25 * 200 and np.ptp(rows) == np.ptp(columns) == 4
        assert np.hypot(rows.min() - 8, columns.min() - 8) == pytest.approx(0.1 * 21, abs=0.75)


def test_turned_sheared_and_scaled_about_the_centre():
    """A point on the axis goes where the matrix sends it; the middle stays."""
    image = np.zeros((8, 41, 41, 1), np.uint8)
    image[:, 19:22, 29:32] = 255  # 10 pixels to the right of the middle
    image[:, 20, 20] = 255

    def centres(name, strength):
        found = corrupt(image, name, strength)[..., 0].astype(float)
        rows, columns = np.indices((41, 41)) - 20
        away = np.hypot(rows, columns) > 3
        assert (found[:, 20, 20] > 200).all()
        return [(np.average(rows, weights=one * away), np.average(columns, weights=one * away)) for one in found]

    for down, right in centres("rotation", 4):
        assert (abs(down), right) == pytest.approx((10 * np.sin(np.radians(40)), 10 * np.cos(np.radians(40))), abs=0.3)
    for down, right in centres("shear", 5):
        assert (abs(down), right) == pytest.approx((0, 10), abs=0.3)  # rows move, and this one is the middle's
    signs = set()
    for down, right in centres("scale", 4):
        signs.add(right > 10)
        assert (down, right) == pytest.approx((0, 15 if right > 10 else 10 / 1.5), abs=0.3)
    assert signs == {True, False}


def test_a_square_of_one_level_covers_a_share():
    images = smooth((20, 28, 28, 3))
    for before, after in zip(images, corrupt(images, "occlusion", 5), strict=True):
        rows, columns, _ = np.nonzero(before != after)
        covered = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert covered.shape[:2] == (17, 17) and np.ptp(covered) == 0


def test_what_is_unknown_is_refused():
    with pytest.raises(InputError, match="there is no corruption 'fogg'; did you mean 'fog'"):
        corrupt(square(), "fogg", 1)
    with pytest.raises(InputError, match="the strength is 6; expected 1, 2, 3, 4 or 5"):
        corrupt(square(), "fog", 6)
    assert [row.name for row in chosen(["shift", "fog"])] == ["fog", "shift"] and chosen([]) == list(CORRUPTIONS)
