"""The networks: exact sizes, and the contract that every family keeps."""

import typing

import numpy as np
import pytest

from fmnist import engine, models
from fmnist.config import PRESETS, EngineConfig, ModelConfig, leaf_fields, preset
from fmnist.errors import InputError

engine.prepare()
import keras  # noqa: E402

FAMILIES = leaf_fields()["family"][1].metadata["choices"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)

# Layer by layer, worked by hand: kernel × kernel × inputs × filters + filters; inputs × units + units.
REFERENCE_LAYERS = [
    ("Rescaling", (28, 28, 1), 0),
    ("Conv2D", (28, 28, 32), 3 * 3 * 1 * 32 + 32),
    ("LeakyReLU", (28, 28, 32), 0),
    ("MaxPooling2D", (14, 14, 32), 0),
    ("Conv2D", (14, 14, 64), 3 * 3 * 32 * 64 + 64),
    ("LeakyReLU", (14, 14, 64), 0),
    ("MaxPooling2D", (7, 7, 64), 0),
    ("Conv2D", (7, 7, 128), 3 * 3 * 64 * 128 + 128),
    ("LeakyReLU", (7, 7, 128), 0),
    ("MaxPooling2D", (4, 4, 128), 0),
    ("Flatten", (2048,), 0),
    ("Dense", (128,), 2048 * 128 + 128),
    ("LeakyReLU", (128,), 0),
    ("Dense", (10,), 128 * 10 + 10),
]


def test_the_reference_network_layer_by_layer():
    model = models.build(preset("reference").model)
    found = [(type(layer).__name__, layer.output.shape[1:], layer.count_params()) for layer in model.layers]
    assert found == REFERENCE_LAYERS
    assert model.count_params() == 356_234
    slopes = [layer.negative_slope for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert slopes == pytest.approx([0.1] * 4)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(layer.activation is keras.activations.linear for layer in convolutions)
    assert model.layers[-1].activation is keras.activations.softmax


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_names_a_family(name):
    assert preset(name).model.family in FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_takes_raw_pixels_and_gives_probabilities(self, family):
        model = models.build(ModelConfig(family=family))
        output = np.asarray(model(IMAGES))
        assert model.inputs[0].dtype == "uint8" and model.inputs[0].shape == (None, 28, 28, 1)
        assert output.dtype == np.float32 and output.shape == (3, 10)
        np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)

    def test_uses_stock_layers_and_loads_without_us(self, family, tmp_path):
        model = models.build(ModelConfig(family=family))
        assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
        assert isinstance(model.layers[0], keras.layers.Rescaling)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(model(IMAGES)))

    def test_the_twin_for_training_has_the_same_variables(self, family):
        model = models.build(ModelConfig(family=family))
        twin = models.build(ModelConfig(family=family), logits=True)
        twin.set_weights(model.get_weights())
        logits = np.asarray(twin(IMAGES))
        np.testing.assert_allclose(np.asarray(keras.ops.softmax(logits)), np.asarray(model(IMAGES)), atol=1e-6)

    @pytest.mark.parametrize(("shape", "classes"), [((8, 8), 2), ((33, 20), 13)])
    def test_other_sizes_work(self, family, shape, classes):
        model = models.build(ModelConfig(family=family), shape, classes)
        assert model(np.zeros((1, *shape, 1), np.uint8)).shape == (1, classes)

    def test_kernel_and_filters_are_what_the_config_says(self, family):
        model = models.build(ModelConfig(family=family, filters=(8, 16, 24), kernel_size=5))
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        per_block = [8, 16, 24, 24] if family == "vgg" else [8, 16, 24]
        assert [layer.filters for layer in convolutions] == per_block
        assert convolutions[-1].kernel_size == (5, 5)

    def test_two_builds_have_the_same_names(self, family):
        first, second = (models.build(ModelConfig(family=family)) for _ in range(2))
        assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize(("shape", "classes"), [((3, 28), 10), ((28, 28), 1)])
def test_what_cannot_be_classified_is_refused(shape, classes):
    with pytest.raises(InputError, match="expected at least 2 classes and 4×4 pixels"):
        models.build(ModelConfig(), shape, classes)


def test_every_hint_of_the_config_is_understood():
    assert typing.get_type_hints(ModelConfig)["filters"] == tuple[int, ...]


def test_the_whitened_stem_gives_uncorrelated_outputs_of_equal_variance():
    rng = np.random.default_rng(1)
    smooth = rng.normal(size=(200, 32, 32)).cumsum(axis=1).cumsum(axis=2)
    images = (128 + 20 * smooth[:, 4:, 4:] / smooth.std()).clip(0, 255).astype(np.uint8)
    config = preset("fast").model
    model = models.build(config)
    models.initialize(model, config, images)
    kernel = model.get_layer("stem").get_weights()[0]
    np.testing.assert_allclose(kernel[..., :9], -kernel[..., 9:], rtol=1e-6)
    patches = np.lib.stride_tricks.sliding_window_view(images / 255.0, (3, 3), axis=(1, 2))[:, ::2, ::2].reshape(-1, 9)
    outputs = np.cov((patches @ kernel.reshape(9, 18)[:, :9]).T)
    variances = np.linalg.eigvalsh(np.cov(patches.T))[::-1]
    np.testing.assert_allclose(outputs, np.diag(variances / (variances + 1e-2)), atol=1e-3)


def test_initializing_leaves_a_family_without_computed_weights_alone():
    config = preset("reference").model
    model = models.build(config)
    before = model.get_weights()
    models.initialize(model, config, IMAGES[..., 0])
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_the_arithmetic_alone(family):
    """Variables and output stay float32, and nothing built afterwards is touched."""
    with engine.arithmetic(EngineConfig(precision="bfloat16")):
        twin = models.build(ModelConfig(family=family), logits=True)
    exact = models.build(ModelConfig(family=family), logits=True)
    exact.set_weights(twin.get_weights())
    assert {variable.dtype for variable in twin.variables} <= {"float32", "uint32", "int64"}
    assert {layer.compute_dtype for layer in twin.layers if isinstance(layer, keras.layers.Conv2D)} == {"bfloat16"}
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}
    rounded, logits = np.asarray(twin(IMAGES)), np.asarray(exact(IMAGES))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - logits).max() < 0.05 * np.abs(logits).max()
