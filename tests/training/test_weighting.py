"""Weights of images where classes are uneven: in the loss, in every phase, and nowhere where classes are even."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from support.small_data import StopAfter

import fmnist
from fmnist import backend
from fmnist.config import preset
from fmnist.data.split import run_split
from fmnist.evaluation import metrics
from fmnist.run.directory import read_json
from fmnist.training import distillation, weighting
from fmnist.training.distillation import Targets
from fmnist.training.phase import split
from fmnist.training.progress import Interrupted, Watcher

UNEVEN = np.repeat([0, 1, 3], [6, 2, 1])  # no image of class 2


@pytest.fixture(scope="module", autouse=True)
def keras_is_ready():
    backend.prepare()


def test_classes_count_the_same_and_images_one_on_average():
    weights = weighting.class_weights("balanced", UNEVEN)
    assert weights.dtype == np.float32 and weights[[0, 1, 3]].tolist() == [0.5, 1.5, 3.0]
    assert weights[UNEVEN].mean() == 1


@pytest.mark.parametrize(
    ("mode", "counts", "weighs"),
    [
        ("none", [90, 1], False),
        ("auto", [30, 10], False),
        ("auto", [31, 10], True),
        ("auto", [30, 0, 10], False),
        ("balanced", [11, 10], True),
    ],
)
def test_when_images_are_weighed(mode, counts, weighs):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert (weighting.class_weights(mode, labels) is not None) is weighs
    told = weighting.sentence(mode, labels)
    assert bool(told) is weighs and (not weighs or f"{max(counts)} training images" in told)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_each_image_times_its_weight(smoothing):
    loss = distillation.loss(preset("fast", label_smoothing=smoothing))
    labels = np.eye(4, dtype=np.float32)[UNEVEN]
    logits = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    targets, weighted = weighting.weighted(Targets(labels), loss, weighting.image_weights("balanced", UNEVEN))
    expected = weighting.class_weights("balanced", UNEVEN)[UNEVEN] * np.asarray(loss.call(labels, logits))
    np.testing.assert_allclose(weighted.call(targets.rows, logits), expected, rtol=1e-5)
    assert float(weighted(targets.rows, logits)) == pytest.approx(expected.mean(), rel=1e-5)


def test_a_teachers_part_weighs_as_much_as_the_labels():
    loss = distillation.DistillationLoss(0.9, 2.0, 0.1)
    rng = np.random.default_rng(1)
    labels, teacher = np.eye(4, dtype=np.float32)[UNEVEN], rng.dirichlet(np.ones(4), len(UNEVEN)).astype(np.float32)
    rows, logits = np.concatenate([labels, teacher], axis=1), rng.normal(size=labels.shape).astype(np.float32)
    targets, weighted = weighting.weighted(Targets(rows, rows), loss, weighting.image_weights("balanced", UNEVEN))
    expected = weighting.class_weights("balanced", UNEVEN)[UNEVEN] * np.asarray(loss.call(rows, logits))
    np.testing.assert_allclose(weighted.call(targets.rows, logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(targets.mirrored, targets.rows)


def test_an_images_own_weight_counts_besides_its_classs_and_is_one_on_average():
    own = np.arange(1, len(UNEVEN) + 1, dtype=np.float32)
    np.testing.assert_allclose(weighting.image_weights("none", UNEVEN, own), own / 5)
    both = weighting.image_weights("balanced", UNEVEN, own)
    np.testing.assert_allclose(both, own / 5 * np.repeat([0.5, 1.5, 3.0], [6, 2, 1]))
    assert weighting.image_weights("none", UNEVEN) is None


def test_weights_stay_with_their_images(uneven_dataset):
    weights = np.arange(1, len(uneven_dataset.train_labels) + 1, dtype=np.float32)
    examples = split(preset("fast"), replace(uneven_dataset, train_weights=weights))
    assert len(examples.train_weights) == len(examples.train) < len(weights)
    for image, weight in zip(examples.train, examples.train_weights, strict=True):
        np.testing.assert_array_equal(image, uneven_dataset.train_images[int(weight) - 1])
    for wrong in (weights[1:], weights - 1):
        with pytest.raises(fmnist.InputError, match="weights .* expected one above 0 for each of"):
            replace(uneven_dataset, train_weights=wrong)


def test_even_classes_change_nothing():
    targets, loss = Targets(np.eye(3, dtype=np.float32)), keras.losses.CategoricalCrossentropy(from_logits=True)
    assert weighting.weighted(targets, loss, weighting.image_weights("auto", np.arange(3))) == (targets, loss)


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


@pytest.fixture(scope="module")
def uneven_dataset(tiny_dataset):
    """The tiny data with a tenth of the images of its first five classes."""
    few = np.flatnonzero(tiny_dataset.train_labels < 5)[::10]
    kept = np.sort(np.concatenate([few, np.flatnonzero(tiny_dataset.train_labels >= 5)]))
    parts = tiny_dataset.train_images[kept], tiny_dataset.train_labels[kept]
    tests = tiny_dataset.test_images, tiny_dataset.test_labels
    return fmnist.Dataset(*parts, *tests, tiny_dataset.class_names, "uneven", {"labels": "1"})


def test_a_run_weighs_images_and_says_so(uneven_dataset, tmp_path):
    found, notes = {}, {}
    for mode in ("auto", "balanced", "none"):
        notes[mode] = Notes()
        config = preset("reference", epochs=2, filters=(4, 8, 8), class_weights=mode)
        run = fmnist.train(config, uneven_dataset, tmp_path / mode, watcher=notes[mode], train_only=True)
        found[mode] = fmnist.open_model(run).probabilities(uneven_dataset.test_images)
    np.testing.assert_array_equal(found["auto"], found["balanced"])
    assert not np.array_equal(found["auto"], found["none"])
    labels = uneven_dataset.train_labels[run_split(read_json(run.config), uneven_dataset.train_labels)[0]]
    told = weighting.sentence("auto", labels)
    assert notes["auto"].told.count(told) == 1 and told not in notes["none"].told
    # Rare classes are predicted more often.
    rare = [np.mean(found[mode].argmax(axis=1) < 5) for mode in ("balanced", "none")]
    assert rare[0] > rare[1]


@pytest.mark.slow
def test_frozen_features_are_weighed_and_a_resumed_run_ends_in_the_same_weights(uneven_dataset, tiny_run, tmp_path):
    own = {"filters": (4, 8, 8), "initial_weights": str(tiny_run.path), "frozen_epochs": 1, "epochs": 2}
    config = preset("reference", **own, segment_steps=2, batch_size=32)
    whole = fmnist.train(config, uneven_dataset, tmp_path / "whole", train_only=True)
    even = config.with_overrides(class_weights="none", epochs=1)
    even = fmnist.train(even, uneven_dataset, tmp_path / "even", train_only=True)
    assert fmnist.read_history(whole.history)[0]["loss"] != fmnist.read_history(even.history)[0]["loss"]
    with pytest.raises(Interrupted):
        fmnist.train(config, uneven_dataset, tmp_path / "cut", should_stop=StopAfter(9), train_only=True)
    cut = fmnist.resume(fmnist.RunDirectory(tmp_path / "cut"), uneven_dataset, train_only=True)
    images = uneven_dataset.test_images
    first, second = (fmnist.open_model(run).probabilities(images) for run in (whole, cut))
    np.testing.assert_array_equal(first, second)


def test_scores_have_the_mean_of_the_recalls(tiny_run):
    stored = read_json(tiny_run.metrics)
    recalls = [row["recall"] for row in stored["per_class"]]
    assert stored["balanced_accuracy"] == pytest.approx(np.mean(recalls)) == stored["macro"]["recall"]
    assert not metrics.uneven([row["support"] for row in stored["per_class"]])
