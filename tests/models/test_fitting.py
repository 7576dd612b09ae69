"""What pictures of one's own are trained with: the choice, what it keeps, what it says; networks for all sizes."""

import numpy as np
import pytest

import fmnist
from fmnist import backend, models
from fmnist.config import DEFAULT_PRESET, fitting, preset
from fmnist.data.dataset import Dataset
from fmnist.errors import RunError
from fmnist.models import pretrained

NAMES = ("round", "square")


def dataset(count, shape):
    """Noise of a size, half of it brighter."""
    labels = (np.arange(count) % 2).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 100, (count, *shape), np.uint8)
    images += (100 * labels).reshape(-1, *[1] * len(shape))
    return Dataset(images, labels, images[:10], labels[:10], NAMES, "made up")


@pytest.fixture
def with_weights(monkeypatch):
    """As if the weights of the pre-trained network were installed."""
    monkeypatch.setattr(pretrained, "locate", lambda family, weights: None)


@pytest.mark.parametrize(
    ("count", "shape", "expected"),
    [
        (1_000, (64, 64, 3), "transfer"),
        (1_001, (64, 64, 3), "standard"),
        (1_000, (63, 63, 3), "standard"),
        (1_500, (120, 96, 3), "transfer"),
        (5_001, (120, 96, 3), "standard"),
        (100_000, (224, 224, 3), "standard"),
        (60_000, (28, 28, 1), "standard"),
        (200, (8, 8, 1), "standard"),
    ],
)
def test_the_choice(count, shape, expected):
    name, settings, reason = fitting(count, shape)
    assert name == expected and reason
    assert preset(name, **settings).preset == name


def test_few_images_are_seen_more_often():
    assert fitting(60_000, (28, 28, 1))[1] == {}
    epochs = [fitting(count, (28, 28, 1))[1]["epochs"] for count in (50, 500, 1_500)]
    assert epochs == sorted(epochs, reverse=True) and epochs[-1] > 10 and epochs[0] <= 100


def test_what_is_given_is_kept(with_weights):
    few = dataset(60, (96, 96, 3))
    config, told = fmnist.preset_for(few, epochs=3, seed=7)
    assert config == preset("transfer", epochs=3, seed=7)
    assert told.startswith("transfer, 3 epochs, for 60 images of 96×96 pixels in colour, which are few, so")
    assert "`preset='standard'` chooses otherwise" in told
    config, told = fmnist.preset_for(few, filters=(18, 8))
    assert config == preset(DEFAULT_PRESET, filters=(18, 8)) and "`filters`" in told


def test_where_the_weights_are_missing_it_says_so(monkeypatch):
    def missing(family, weights):
        raise RunError("not installed")

    monkeypatch.setattr(pretrained, "locate", missing)
    config, told = fmnist.preset_for(dataset(60, (96, 96, 3)))
    assert (
        config.preset == "standard" and "transfer would fit better" in told and "pip install 'fmnist[transfer]'" in told
    )


@pytest.mark.parametrize(("side", "inputs"), [(8, 2 * 2), (28, 7 * 7), (64, 16 * 16), (224, 16 * 16)])
@pytest.mark.parametrize("name", ["fast", "standard"])
def test_the_hidden_layer_has_at_most_16_by_16_places_to_look_at(name, side, inputs):
    backend.prepare()
    model = models.build(preset(name).model, (side, side, 3), 5)
    assert model.get_layer("hidden").get_weights()[0].shape == (inputs * 64, 64)


@pytest.mark.parametrize("name", ["standard", pytest.param("reference", marks=pytest.mark.slow)])
@pytest.mark.parametrize("side", [8, 224])
def test_images_of_all_sizes_are_learnt(name, side, tmp_path):
    config = preset(name, epochs=6, batch_size=8)
    run = fmnist.train(config, dataset(40, (side, side)), tmp_path / "run", train_only=True)
    assert fmnist.open_model(run).probabilities(dataset(4, (side, side)).test_images).shape == (4, 2)
    assert fmnist.read_history(run.history)[-1]["train_accuracy"] > 0.9
