"""The long recipes as they are: their networks' bounds, and a few steps of each."""

import numpy as np
import pytest

import fmnist
from fmnist import backend, models
from fmnist.config import preset
from fmnist.run.directory import read_json

# The most parameters that each may have.
BOUNDS = {"tiny": 100_000, "micro": 10_000}
LONG = ("accurate", "best", "best-gpu", *BOUNDS)


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_the_small_ones_are_small(name, bound):
    backend.prepare()
    assert 0.75 * bound < models.build(preset(name).model).count_params() < bound


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_few_steps_end_in_a_model_that_does_not_see_left_and_right(name, tmp_path, tiny_data_dir):
    # Three steps: without bfloat16 in hardware, those of best-gpu take long.
    config = preset(name, epochs=1, batch_size=32, segment_steps=2, limit=100)
    run = fmnist.train(config, fmnist.load_dataset(tiny_data_dir), tmp_path / name)
    assert read_json(run.status)["state"] == "finished" and read_json(run.config)["preset"] == name
    model, images = fmnist.open_model(run), fmnist.load_dataset(tiny_data_dir).test_images[:20]
    answers, mirrored = (model.probabilities(np.ascontiguousarray(way)) for way in (images, images[..., ::-1]))
    assert np.abs(answers - mirrored).max() < 1e-5
    assert answers.std(axis=0).max() > 1e-4  # and yet tells images apart
