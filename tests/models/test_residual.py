"""The residual family: its sizes by hand, its shortcuts, and what its own settings do."""

import numpy as np
import pytest

from fmnist import backend, models
from fmnist.config import ModelConfig, preset
from fmnist.errors import InputError

backend.prepare()
import keras  # noqa: E402

from fmnist.training import optimizers  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)


def build(**settings):
    keras.utils.set_random_seed(0)
    return models.build(ModelConfig(family="residual", **settings))


def count(model):
    return {layer.name: layer.count_params() for layer in model.layers if layer.weights}


def test_the_parameters_by_hand():
    """A normalisation has four numbers a channel; the shortcut a 1×1 kernel, where the channels change."""
    model = build(filters=(4, 6, 8), blocks=(1, 2))
    first = 9 * 4 * 6 + 4 * 6 + 9 * 6 * 6 + 4 * 6 + (4 * 6 + 4 * 6)
    second = 9 * 6 * 8 + 4 * 8 + 9 * 8 * 8 + 4 * 8 + (6 * 8 + 4 * 8) + 2 * (9 * 8 * 8 + 4 * 8)
    assert model.count_params() == 9 * 4 + first + second + 8 * 10 + 10
    sizes = {layer.name: layer.output.shape[1] for layer in model.layers}
    assert (sizes["sum_1_1"], sizes["sum_2_1"], sizes["sum_2_2"]) == (28, 14, 14)
    assert build(filters=(4, 6, 8), stem_pooling=True).get_layer("sum_2_1").output.shape[1] == 7


def test_separable_and_squeezed_by_hand():
    plain, split = count(build(filters=(4, 6))), count(build(filters=(4, 6), separable=True, squeeze_excite=3))
    assert split["convolution_1_1a"] == 9 * 4 + 4 * 6 and split["convolution_1_1b"] == 9 * 6 + 6 * 6
    assert split["squeeze_1_1"] == 6 * 2 + 2 and split["excite_1_1"] == 2 * 6 + 6
    assert {name: split[name] for name in ("stem", "convolution_1_1s", "logits")} == {
        name: plain[name] for name in ("stem", "convolution_1_1s", "logits")
    }


def test_a_block_without_kernels_passes_its_input_on():
    model = build(filters=(6, 6), batch_normalization=False)
    for half in "ab":
        layer = model.get_layer(f"convolution_1_1{half}")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    parts = keras.Model(model.inputs[0], [model.get_layer(name).output for name in ("stem_relu", "relu_1_1b")])
    before, after = (np.asarray(part) for part in parts(IMAGES))
    assert before.max() > 0
    np.testing.assert_array_equal(before, after)


def test_channels_are_weighed_between_0_and_1():
    model = build(filters=(4, 6), squeeze_excite=2)
    excite = model.get_layer("excite_1_1")
    excite.set_weights([np.zeros((3, 6)), np.array([-50.0, 50.0, 0.0, 0.0, 0.0, 0.0])])
    parts = keras.Model(
        model.inputs[0], [model.get_layer(name).output for name in ("normalization_1_1b", "weighted_1_1")]
    )
    before, after = (np.asarray(part) for part in parts(IMAGES))
    np.testing.assert_allclose(after, before * [0, 1, 0.5, 0.5, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("settings", [{"separable": True}, {"squeeze_excite": 4}, {"stem_pooling": True, "blocks": 2}])
def test_the_twin_for_training_has_the_same_variables_in_the_same_order(settings):
    config = ModelConfig(family="residual", filters=(4, 6, 8), dropout=0.1, **settings)
    twin = models.build(config, logits=True)
    for flip_average in (False, True):
        model = models.build(ModelConfig(**{**vars(config), "flip_average": flip_average}))
        paths = [[weight.path.split("/", 1)[-1] for weight in network.weights] for network in (model, twin)]
        assert paths[0] == paths[1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"blocks": 2}, "blocks: only for the family residual; got vgg"),
        ({"separable": True, "squeeze_excite": 2}, "squeeze_excite: only for the family residual"),
        (
            {"family": "residual", "filters": (4, 6, 8), "blocks": (1, 2, 3)},
            "got 3 numbers, expected one for all, or 2",
        ),
        ({"family": "residual", "blocks": 0}, "blocks: got 0, expected 1 to 100"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, expected):
    with pytest.raises(InputError, match=expected):
        preset("fast", **{"family": "vgg", **settings})


@pytest.mark.parametrize(("filters", "parameters"), [((18, 48, 96, 144), 79_966), ((18, 16, 24, 40), 8_470)])
def test_separable_networks_are_small(filters, parameters):
    config = ModelConfig(family="residual", filters=filters, separable=True, stem_pooling=True)
    assert models.build(config).count_params() == parameters


def test_muon_leaves_kernels_of_single_channels_to_adam():
    model = models.build(ModelConfig(family="residual", filters=(4, 6), separable=True), logits=True)
    optimizer = optimizers.build(preset("fast").training)
    adams = {v.path.split("/", 1)[-1] for v in model.trainable_variables if optimizer._should_use_adamw(v)}
    assert any(path.endswith("depthwise_kernel") for path in adams)
    assert not any(path.endswith("pointwise_kernel") for path in adams)
