"""Copies: exact ones, near ones whatever was done to them, and images that only look alike."""

import numpy as np
import pytest
from support.small_data import pattern_images

from fmnist.audit import copies


def blobs(count: int, seed: int, side: int = 28, channels: int = 1) -> np.ndarray:
    """Smooth spots on black that touch no border, each image another: uint8 (count, side, side, channels)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    images = np.zeros((count, side, side, channels))
    for image in images:
        for _ in range(5):
            (top, left), width = random.uniform(0.25, 0.75, 2), random.uniform(0.03, 0.1)
            spot = np.exp(-((rows - top) ** 2 + (columns - left) ** 2) / (2 * width**2))
            image += spot[..., np.newaxis] * random.uniform(40, 120, channels)
    return images.clip(0, 255).astype(np.uint8)


def test_exact_copies_name_the_first():
    images = blobs(5, seed=0)[[0, 1, 0, 2, 2, 0]]
    assert copies.exact_copies(images).tolist() == [0, 1, 0, 3, 3, 0]


CHANGES = {
    "shifted": lambda images: np.roll(images, (step := images.shape[1] // 28, -step), axis=(1, 2)),
    "darker": lambda images: (images * 0.7).astype(np.uint8),
    "noisy": lambda images: (
        (images + np.random.default_rng(1).normal(0, 2, images.shape)).clip(0, 255).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (28, 3), (96, 3)])
def test_near_copies_are_found_and_nothing_else(change, side, channels):
    images = blobs(60, seed=2, side=side, channels=channels)
    everything = np.concatenate([images, CHANGES[change](images[10:20])])
    found = copies.near_copies(everything)
    assert [(later, earlier) for later, earlier, _ in found] == [(60 + place, 10 + place) for place in range(10)]
    assert all(copies.ALIKE <= alike <= 1.0001 for *_, alike in found)


def test_drawn_bars_are_alike_and_no_copies():
    images, _ = pattern_images(200, seed=3)
    assert copies.near_copies(images[..., np.newaxis]) == []


def test_images_of_one_level_and_few_images():
    flat = np.arange(6, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(8, axis=1).repeat(8, axis=2) * 40
    assert copies.near_copies(flat) == copies.near_copies(flat[:1]) == copies.near_copies(flat[:0]) == []


def test_the_likeness_is_a_correlation_at_the_best_shift():
    image = blobs(1, seed=4)[0].astype(np.float64)
    moved = np.roll(image, 1, axis=0)
    alike = copies.likeness(np.stack([image, moved, 255 - image]), np.array([[0, 1], [1, 0], [0, 2], [0, 0]]))
    assert alike[:2] == pytest.approx(1, abs=1e-5) and alike[3] == pytest.approx(1, abs=1e-5)
    assert alike[2] < 0.5


def test_progress_ends_with_all_images():
    told = []
    copies.near_copies(blobs(30, seed=5), lambda *numbers: told.append(numbers))
    assert told == [(30, 30)]
