"""The config tree: presets, overrides, and every way to get them wrong."""

import json

import pytest

from fmnist.config import PRESETS, Config, leaf_fields, preset, restore
from fmnist.errors import InputError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_named_and_survive_json(name):
    config = preset(name)
    assert config.preset == name
    assert restore(json.loads(json.dumps(config.to_dict()))) == config


def test_the_reference_preset_is_the_recipe():
    recipe = preset("reference")
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.optimizer) == (20, 64, "adam")
    assert recipe.data.validation_fraction == 0.2
    assert recipe.model.filters == (32, 64, 128)
    assert recipe.training.label_smoothing == 0
    assert not recipe.augmentation.flip and not recipe.augmentation.shift


def test_an_override_changes_one_leaf():
    config = preset("reference", epochs=3, filters=[8, 16])
    assert config.training.epochs == 3
    assert config.model.filters == (8, 16)
    assert config.with_overrides(epochs=20, filters=(32, 64, 128)) == preset("reference")


def test_dropout_is_one_number_or_one_a_layer():
    assert preset("reference", dropout=0.3).model.dropout_rates() == (0.3,) * 4
    assert preset("reference", dropout=[0, 0.1, 0.2, 0.5]).model.dropout_rates() == (0, 0.1, 0.2, 0.5)
    assert preset("reference", filters=(8,), dropout=(0.1, 0.2)).model.dropout_rates() == (0.1, 0.2)


def test_what_is_left_open_is_the_familys_own():
    reference, fast = preset("reference").resolved().model, preset("fast").resolved().model
    assert (reference.activation, reference.batch_normalization) == ("leaky_relu", False)
    assert (fast.activation, fast.batch_normalization) == ("relu", True)
    chosen = preset("fast", activation="silu", batch_normalization=False)
    assert chosen.resolved() == chosen


def test_a_setting_newer_than_the_file_is_the_presets():
    values = preset("fast", epochs=7).to_dict()
    del values["training"]["optimizer"], values["model"]["dropout"]
    assert restore(values) == preset("fast", epochs=7)


def test_a_file_of_an_earlier_version_keeps_an_image_size_that_its_family_never_had():
    values = preset("fast", epochs=7).to_dict()
    values["model"]["image_size"] = 64
    assert restore(values) == preset("fast", epochs=7)
    values = preset("transfer", image_size=64).to_dict()
    assert restore(values).model.image_size == 64


def test_every_setting_has_help_and_a_name_of_its_own():
    total = sum(len(section) for section in Config().to_dict().values() if isinstance(section, dict))
    assert len(leaf_fields()) == total
    assert all(spec.metadata["help"].endswith(".") for _, spec in leaf_fields().values())


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"epohcs": 3}, "did you mean 'epochs'"),
        ({"epochs": 0}, "epochs: got 0, expected 1 to"),
        ({"epochs": 2.5}, "expected a whole number"),
        ({"epochs": True}, "expected a whole number"),
        ({"learning_rate": float("nan")}, "expected a finite number"),
        ({"learning_rate": -1.0}, "expected at least 0"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"filters": ()}, "expected a list of whole numbers"),
        ({"filters": (8, 0)}, "got 0, expected 1 to 4096"),
        ({"flip": 1}, "expected true or false"),
        ({"limit": 0}, "limit: got 0, expected at least 1"),
        ({"dropout": 1.0}, "dropout: got 1.0, expected 0.0 to 0.95"),
        ({"dropout": (0.1, -0.1, 0, 0)}, "dropout: got -0.1"),
        ({"dropout": ()}, "expected a number, or some"),
        (
            {"dropout": (0.1, 0.2)},
            "dropout: got 2 numbers, expected one for all, or 3 for the blocks and one for the hidden",
        ),
        ({"dropout": True}, "dropout: got True, expected a number"),
        ({"activation": "reul"}, "did you mean 'relu'"),
        ({"batch_normalization": 1}, "expected true or false"),
        ({"rotation": 181}, "expected 0.0 to 180.0"),
    ],
)
def test_a_bad_override_is_named(overrides, expected):
    with pytest.raises(InputError, match=expected):
        preset("reference", **overrides)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        preset("reference", epochs=0, batch_size=0, optimizer="no")
    assert all(name in str(caught.value) for name in ("epochs", "batch_size", "optimizer"))


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match="did you mean 'reference'"):
        preset("referense")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"data": 3},
        [],
        *({**Config().to_dict(), "model": bad} for bad in ({"colour": 1}, {"family": [1]}, {"family": {}})),
    ],
)
def test_a_broken_mapping_is_refused(broken):
    with pytest.raises(InputError):
        restore(broken)


def test_the_default_preset_suits_its_network_to_the_time():
    short, middle, long = preset(time_budget=20.0), preset(time_budget=120.0), preset(time_budget=600.0)
    assert (short.model, short.augmentation) == (preset("fast").model, preset("fast").augmentation)
    assert middle.model.filters == (18, 16, 96) and middle.augmentation == preset().augmentation
    assert long.model.family == "vgg" and long.augmentation.flip and long.training.time_budget == 600
    for own in ({"family": "fast"}, {"filters": (18, 64)}, {"family": "fast", "filters": (18, 64)}):
        given = preset(time_budget=600.0, **own)
        assert given.model == preset(**own).model and given.augmentation.flip
    for name in ("fast", "reference"):
        assert preset(name, time_budget=600.0).model == preset(name).model


def test_the_default_preset_has_curves():
    """A first run is to show how a network learns: the diagnosis judges from 4 epochs on, and doubts less from 8."""
    assert preset() == preset("standard") and preset().training.epochs >= 8
