"""Unfamiliarity: what is seen, by hand, the threshold, what does not belong to the training pictures, damaged files."""

import json
import string

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.small_data import pattern_images

import fmnist
from fmnist.errors import InputError, RunError
from fmnist.evaluation import novelty
from fmnist.evaluation.novelty import LOOKS, PLAIN, THRESHOLD, Novelty, fit, see
from fmnist.run.directory import read_json


def bars(count, seed):
    images, labels = pattern_images(count, seed)
    return images[..., np.newaxis], labels


@pytest.fixture(scope="module")
def pictures():
    """Training images, their labels, and validation images: all bars."""
    images, labels = bars(800, seed=3)
    return images[:500], labels[:500], images[500:]


@pytest.fixture(scope="module")
def known(pictures):
    return fit(*pictures)


SEEN = sum(count**2 for _, count in LOOKS)


def test_cells_by_hand():
    images, plain = np.zeros((1, 10, 7, 1), np.uint8), ((PLAIN, 5),)
    images[0, :2, 0], images[0, 2, 1] = 100, 70  # cells are 2 pixels high and 1.4 wide
    expected = np.zeros((5, 5))
    expected[0, 0] = 100 / 1.4
    expected[1, :2] = 70 * 0.4 / 2.8, 70 * 0.6 / 2.8
    np.testing.assert_allclose(see(images, plain), expected.reshape(1, 25), rtol=1e-5, atol=1e-5)
    assert see(np.full((2001, 28, 28, 1), 9, np.uint8), plain) == pytest.approx(9)
    assert see(images[:0], plain).shape == (0, 25) and see(images[:0]).shape == (0, SEEN)


def test_looks_by_hand():
    image = np.array([[[0, 51], [204, 0]]], np.uint8)[..., np.newaxis]
    maps = {
        "levels": [0, 51, 204, 0],
        "squares": [0, 51**2 / 255, 204**2 / 255, 0],
        "across": [51, 51, 204, 0],  # to the next pixel; behind the last one all is black
        "down": [204, 51, 204, 0],
    }
    for name, expected in maps.items():
        np.testing.assert_allclose(see(image, ((name, 2),)), np.sqrt(255 * np.array([expected])), rtol=1e-6)
    both = see(image, (("levels", 1), ("down", 2)))
    np.testing.assert_allclose(both[0, :2] ** 2 / 255, [255 / 4, 204], rtol=1e-6)
    assert (see(np.full((3, 9, 5, 1), 255, np.uint8), (("squares", 3),)) == 255).all()


def test_a_file_of_an_earlier_version_goes_on_as_it_did():
    """It has `cells`, and means the levels' means themselves, without a root."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    old = Novelty(
        rng.normal(100, 9, (2, 25)).astype("f2").astype("f4"), np.stack([np.eye(25, dtype="f4")] * 2), 3.0, 5.0
    )
    told = old.to_dict()
    del told["looks"]
    back = Novelty.from_dict(told | {"cells": 5})
    cells = see(images, ((PLAIN, 5),))
    expected = ((cells[:, np.newaxis] - old.means) ** 2).sum(axis=2).min(axis=1)
    np.testing.assert_allclose(back.unfamiliarity(images), (expected - 3) / 2, rtol=1e-5)
    assert back.to_dict()["looks"] == [[PLAIN, 5]]


def test_the_distance_is_that_of_the_nearest_gaussian():
    rng = np.random.default_rng(0)
    means = rng.normal(100, 9, (2, SEEN)).astype(np.float32)
    roots = np.tril(rng.normal(0, 0.02, (2, SEEN, SEEN))) + 0.3 * np.eye(SEEN)
    images = rng.integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    found = Novelty(means, roots.astype(np.float32)).distance(images)
    for image, value in zip(see(images), found, strict=True):
        precisions = [root @ root.T for root in roots]
        terms = [
            (image - mean) @ precision @ (image - mean) - np.linalg.slogdet(precision)[1]
            for mean, precision in zip(means, precisions, strict=True)
        ]
        assert value == pytest.approx(min(terms), rel=1e-4)


def test_two_in_a_hundred_validation_pictures_lie_above_the_threshold(known, pictures):
    scores = known.unfamiliarity(pictures[2])
    assert scores.dtype == np.float32 and (scores > THRESHOLD).sum() == 6
    assert np.median(scores) == pytest.approx(0, abs=1e-3)


def test_other_pictures_are_unfamiliar(known):
    fresh, _ = bars(300, seed=9)
    assert (known.unfamiliarity(fresh) > THRESHOLD).mean() < 0.06
    crosses = np.maximum(fresh, fresh.transpose(0, 2, 1, 3))
    others = [255 - fresh, np.zeros_like(fresh), np.full_like(fresh, 255), fresh[:, ::2].repeat(2, axis=1) // 3]
    thin = np.zeros_like(fresh)
    thin[:, 4:24, ::6] = fresh[:, 4:24, ::6]
    for images in (crosses, *others, thin):
        assert (known.unfamiliarity(images) > THRESHOLD).mean() > 0.95


def test_classes_of_one_picture_and_pictures_that_are_all_the_same():
    images, labels = bars(40, seed=1)
    labels[0] = 10
    assert np.isfinite(fit(images, labels, images[:1]).unfamiliarity(images)).all()
    same = np.repeat(images[:1], 20, axis=0)
    found = fit(same, np.arange(20) % 2, same).unfamiliarity(np.concatenate([same, 255 - same]))
    assert (found[:20] <= THRESHOLD).all() and (found[20:] > THRESHOLD).all()


@pytest.mark.parametrize(("side", "classes"), [(64, 3), (17, 2)])
def test_other_sizes_and_few_classes(side, classes):
    """Squares of three brightnesses; unlike them are rings, stripes and nothing."""
    rng = np.random.default_rng(0)
    images, labels = np.zeros((300, side, side, 1), np.uint8), rng.integers(0, classes, 300)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(1, side // 5, 2)
        image[top:-top, left:-left] = 80 + 60 * label + rng.integers(-9, 10)
    known = fit(images[:250], labels[:250], images[250:])
    assert (known.unfamiliarity(images) <= THRESHOLD).mean() > 0.9
    rings, stripes = images.copy(), images.copy()
    rings[:, side // 4 : -side // 4, side // 4 : -side // 4] = 0
    stripes[:, ::3] = 0
    for others in (rings, stripes, np.zeros_like(images)):
        assert (known.unfamiliarity(others) > THRESHOLD).all()


def test_it_travels_as_json(known, pictures):
    text = json.dumps(known.to_dict())
    assert len(text) < 40_000
    back = Novelty.from_dict(json.loads(text))
    np.testing.assert_array_equal(back.unfamiliarity(pictures[2]), known.unfamiliarity(pictures[2]))


@pytest.mark.parametrize(
    "damage",
    [
        {"classes": 9},
        {"classes": -1},
        {"classes": "many"},
        {"looks": [["levels", 100_000]]},
        {"looks": [["levels", 0]]},
        {"looks": [["levels", 4]]},
        {"looks": [["smell", 4]]},
        {"looks": [["levels", 32]] * 1000},
        {"looks": ["levels"]},
        {"looks": 7},
        {"means": "?"},
        {"means": 7},
        {"whitening": ""},
        {"limit": float("nan")},
        {"limit": float("inf")},
        {"typical": 1e9},
        {"means": np.full((10, SEEN), np.inf, "<f2")},
        {"whitening": np.zeros((10, SEEN * (SEEN + 1) // 2), "<f2")},
    ],
)
def test_damaged_values_are_refused(known, damage):
    texts = {key: novelty._text(value) if isinstance(value, np.ndarray) else value for key, value in damage.items()}
    with pytest.raises(InputError, match="is damaged"):
        Novelty.from_dict(known.to_dict() | texts)


@pytest.mark.parametrize("values", [[], "text", 3, {}])
def test_what_is_no_description_is_refused(values):
    with pytest.raises(InputError, match="is damaged"):
        Novelty.from_dict(values)


@pytest.mark.slow
def test_digits_and_characters_are_told_from_garments(monkeypatch):
    """The looks were chosen without any of them; measured: 0.994 and 0.995, and 2.2% of the test garments."""
    monkeypatch.delenv("FMNIST_OFFLINE")
    datasets, metrics = pytest.importorskip("sklearn.datasets"), pytest.importorskip("sklearn.metrics")
    try:
        dataset = fmnist.load_dataset()
    except RunError as error:
        pytest.skip(f"needs Fashion-MNIST: {error}")
    training, validation = fmnist.split_indices(dataset.train_labels, 0.2, 0)
    images = dataset.train_images
    known = fit(images[training], dataset.train_labels[training], images[validation])
    garments = known.unfamiliarity(dataset.test_images)
    assert (garments > THRESHOLD).mean() < 0.05
    digits = [Image.fromarray(np.uint8(digit * 255 / 16)).resize((28, 28)) for digit in datasets.load_digits().images]
    characters = []
    for letter in string.ascii_letters + string.digits:
        characters.append(Image.new("L", (28, 28)))
        ImageDraw.Draw(characters[-1]).text((14, 14), letter, 255, ImageFont.load_default(24), anchor="mm")
    for others, least in ((digits, 0.98), (characters, 0.97)):
        found = known.unfamiliarity(np.stack(others)[..., np.newaxis])
        truth = np.repeat([0, 1], [len(garments), len(found)])
        assert metrics.roc_auc_score(truth, np.concatenate([garments, found])) >= least
    levels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(28, axis=1).repeat(28, axis=2)
    assert (known.unfamiliarity(levels) > THRESHOLD).all()  # black called familiar before


def test_the_pipeline_leaves_one(tiny_run, tiny_dataset):
    from fmnist.data.split import split_indices

    training, validation = split_indices(tiny_dataset.train_labels, 0.2, 0)
    images = tiny_dataset.train_images
    expected = fit(images[training], tiny_dataset.train_labels[training], images[validation])
    assert read_json(tiny_run.familiarity) == expected.to_dict()


def test_predictors_tell(tiny_run, tiny_dataset, tmp_path):
    """A run knows its training pictures; a file that does not carry them says so; damaged facts name the file."""
    from fmnist.predictor.opening import open_model
    from fmnist.predictor.predictor import checked

    images = tiny_dataset.test_images
    run = open_model(tiny_run)
    assert run.threshold == THRESHOLD
    expected = Novelty.from_dict(read_json(tiny_run.familiarity)).unfamiliarity(images)
    np.testing.assert_array_equal(run.unfamiliarity(images), expected)
    with pytest.raises(InputError, match=r"expected uint8 \(N, 28, 28\)"):
        run.unfamiliarity(images[:, 1:])

    def compute(batch):
        return np.full((len(batch), 2), 0.5, np.float32)

    bare = checked(compute, [None, 28, 28, 1], {}, "x.onnx", format="onnx", batch_size=32)
    assert bare.threshold is None
    with pytest.raises(InputError, match="does not say what its training pictures looked like"):
        bare.unfamiliarity(images)
    with pytest.raises(InputError, match=r"x\.onnx: .*is damaged"):
        checked(compute, [None, 28, 28, 1], {"familiarity": {}}, "x.onnx", format="onnx", batch_size=32)
