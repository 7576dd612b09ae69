"""mixup and CutMix: what the pixels and the labels are made of."""

import numpy as np
import pytest

from fmnist.config import AugmentationConfig
from fmnist.training.augmentation import make_epoch
from fmnist.training.mixing import CHUNK, mix

COUNT = CHUNK + 200
# Of each image every pixel has another value than in any of the next 200.
IMAGES = (np.arange(COUNT)[:, None, None] % 200 + np.zeros((28, 20), int)).astype(np.uint8)

NONE = np.zeros(COUNT, bool)


def mixed(mixup, cutmix, seed=0, unmixed=NONE):
    return mix(IMAGES, mixup, cutmix, np.random.default_rng(seed), unmixed)


def test_mixup_blends_pixels_as_it_blends_labels():
    images, how = mixed(0.4, 0.0)
    assert (images == images[:, :1, :1]).all()
    values = IMAGES[:, 0, 0].astype(float)
    np.testing.assert_allclose(images[:, 0, 0], how.of(values[:, None])[:, 0], atol=0.51)
    assert how.shares.min() < 0.05 and how.shares.max() > 0.95 and abs(how.shares.mean() - 0.5) < 0.05


def test_cutmix_puts_in_one_rectangle_whose_area_is_the_others_share():
    images, how = mixed(0.0, 1.0)
    own, other = IMAGES[:, :1, :1], IMAGES[how.partners, :1, :1]
    foreign = images == other
    assert (foreign | (images == own)).all()
    told = own[:, 0, 0] != other[:, 0, 0]
    np.testing.assert_allclose(foreign[told].mean(axis=(1, 2)), 1 - how.shares[told], atol=1e-6)
    for inside in foreign[told]:
        rows, columns = inside.any(axis=1), inside.any(axis=0)
        assert (inside == rows[:, None] & columns).all()
        assert all(np.abs(np.diff(side.astype(int))).sum() <= 2 for side in (rows, columns))
    assert 0.25 < 1 - how.shares.mean() < 0.5  # a half, less what falls outside


def test_with_both_each_image_gets_one():
    images, how = mixed(1.0, 1.0)
    own, other = IMAGES[:, 0, 0], IMAGES[how.partners, 0, 0]
    pure = ((images == own[:, None, None]) | (images == other[:, None, None])).all(axis=(1, 2))
    blended = np.abs(images[:, 0, 0] - (how.shares * own + (1 - how.shares) * other)) < 0.51
    assert (pure | blended).all() and 0.4 < pure.mean() < 0.6


def test_some_stay_as_they_are_and_the_others_are_mixed_as_without_them():
    unmixed = np.random.default_rng(1).random(COUNT) < 0.5
    (images, how), (others, _) = mixed(1.0, 1.0, unmixed=unmixed), mixed(1.0, 1.0)
    assert (images[unmixed] == IMAGES[unmixed]).all() and (how.shares[unmixed] == 1).all()
    blended = ~unmixed & (others == others[:, :1, :1]).all(axis=(1, 2))
    assert blended.sum() > 100 and (images[blended] == others[blended]).all()
    epoch = make_epoch(IMAGES, AugmentationConfig(cutmix=1.0, unmixed=0.5), 0, 0)
    assert 0.4 < (epoch.mix.shares == 1).mean() < 0.6


def test_every_image_is_a_partner_once():
    _, how = mixed(0.2, 0.0)
    np.testing.assert_array_equal(np.sort(how.partners), np.arange(COUNT))


@pytest.mark.parametrize("settings", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_labels_follow_the_epochs_order_and_mix(settings):
    """Of images of one value, the mean pixel tells which label is wanted."""
    values = np.eye(COUNT, dtype=np.float32)
    epoch = make_epoch(IMAGES, AugmentationConfig(**settings), 5, 2)
    wanted = epoch.targets(values)
    np.testing.assert_allclose(wanted.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(epoch.images.mean(axis=(1, 2)), wanted @ IMAGES[:, 0, 0], atol=0.51)


def test_a_flipped_image_gets_the_row_of_its_mirror_image():
    epoch = make_epoch(IMAGES, AugmentationConfig(flip=True), 0, 0)
    rows, mirrored = np.arange(COUNT, dtype=np.float32)[:, None], -np.arange(COUNT, dtype=np.float32)[:, None]
    signs = np.where(epoch.flipped, -1, 1)
    np.testing.assert_array_equal(epoch.targets(rows, mirrored)[:, 0], signs * epoch.order)
    np.testing.assert_array_equal(epoch.targets(rows)[:, 0], epoch.order)
