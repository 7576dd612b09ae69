"""The long recipes as they are: their networks' bounds, and a few steps of each."""

import json
from pathlib import Path

import numpy as np
import pytest

import fmnist
from fmnist import backend, models
from fmnist.config import PRESETS, preset, rung
from fmnist.config.presets import LADDER
from fmnist.errors import InputError
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


@pytest.mark.parametrize(
    ("target", "name"), [(50, "fast"), (91.23, "fast"), (91.3, "standard"), (94, "accurate"), (95.5, "best-gpu")]
)
def test_a_target_takes_the_quickest_preset_that_reaches_it(target, name):
    reached, preset_name, _ = rung(target)
    assert preset_name == name and reached >= target


def test_the_rungs_rise_and_higher_targets_are_refused():
    assert [row[0] for row in LADDER] == sorted(row[0] for row in LADDER)
    assert {row[1] for row in LADDER} <= set(PRESETS)
    with pytest.raises(InputError, match=r"got 99%, expected at most 95\.5.*91\.23, 93, 94, 94\.8, 95\.5"):
        rung(99)


def test_a_stored_ladder_reaches_its_rungs():
    """What `--target` promises is what was measured, where a rung has been measured."""
    stored = json.loads((Path(__file__).parents[2] / "benchmarks/results/ladder.json").read_text())
    for target, measured in stored.items():
        scores = [run["test_accuracy"] for run in measured["runs"]]
        assert 100 * sum(scores) / len(scores) >= float(target), target
        assert measured["command"] == f"fmnist train --preset {rung(float(target))[1]}"
