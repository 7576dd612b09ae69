"""Slices: brightness and size by hand, a weak slice that was planted, and none where there is none."""

import numpy as np
import pytest

from fmnist.evaluation.slices import failing, look, sentence


def squares(sides, levels, ground=0, channels=1):
    images = np.full((len(sides), 20, 20, channels), ground, np.uint8)
    for image, side, level in zip(images, sides, levels, strict=True):
        image[4 : 4 + side, 4 : 4 + side] = level
    return images


@pytest.fixture(scope="module")
def data():
    """6,000 squares of three classes, 90% correct."""
    rng = np.random.default_rng(0)
    sides, levels = rng.integers(3, 15, 6000), rng.integers(60, 250, 6000)
    return squares(sides, levels), rng.integers(0, 3, 6000), rng.random(6000) < 0.9


def test_brightness_and_size_by_hand():
    images = squares([10, 0, 5], [100, 0, 40], ground=0)
    brightness, size = look(images)
    assert brightness.tolist() == [100, 0, 40] and size.tolist() == pytest.approx([0.25, 0, 25 / 400])
    brightness, size = look(squares([10], [0], ground=255, channels=3))  # dark on light
    assert (brightness.tolist(), size.tolist()) == ([0], [0.25])
    assert look(np.full((1, 9, 9, 1), 77, np.uint8))[0] == [77]


def test_a_weak_slice_that_was_planted_is_found_and_nothing_else(data):
    images, labels, correct = data
    brightness, _ = look(images)
    planted = (labels == 1) & (brightness < np.quantile(brightness, 1 / 3))
    weak = correct & ~(planted & (np.random.default_rng(1).random(6000) < 0.4))
    (row,) = failing(images, labels, weak, ("bag", "shirt", "coat"))
    assert row["traits"] == ["shirt", "dark"] and row["num_images"] == pytest.approx(planted.sum(), abs=40)
    assert row["interval"][0] < row["accuracy"] < row["interval"][1] < weak.mean()
    assert sentence(row, 0.93).startswith("shirt, dark: 5") and sentence(row, 0.93).endswith(
        "images correct (93.0% on all)"
    )


def test_a_weak_class_is_named_once(data):
    """Its dark and its small images are not named again: they are no weaker than the class."""
    images, labels, correct = data
    weak = correct & ~((labels == 2) & (np.random.default_rng(1).random(6000) < 0.3))
    assert [row["traits"] for row in failing(images, labels, weak, "abc")] == [["c"]]


def test_chance_is_no_weak_slice(data):
    images, labels, _ = data
    for seed in range(8):
        assert failing(images, labels, np.random.default_rng(seed).random(6000) < 0.9, "abc") == []
    assert failing(images[:5], labels[:5], np.zeros(5, bool), "abc") == []


def test_five_at_most_the_worst_first(data):
    images, _, _ = data
    labels = np.arange(6000) % 12
    correct = np.random.default_rng(0).random(6000) > labels / 14
    accuracies = [row["accuracy"] for row in failing(images, labels, correct, [*map(str, range(12))])]
    assert len(accuracies) == 5 and accuracies == sorted(accuracies)
