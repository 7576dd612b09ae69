"""The networks: exact sizes, and the contract that every family keeps."""

import importlib
import typing

import numpy as np
import pytest

from fmnist import backend, models
from fmnist.config import FAMILIES, PRESETS, EngineConfig, ModelConfig, leaf_fields, preset
from fmnist.errors import InputError
from fmnist.predictor.keras_file import open_keras

backend.prepare()
import keras  # noqa: E402

# The two are built by the same code: one of them is enough for every day.
EVERY = [pytest.param(family, marks=pytest.mark.slow) if family == "mobilenet_v2" else family for family in FAMILIES]
SIZED = [family for family in FAMILIES if not FAMILIES[family].pretrained]
ACTIVATIONS = leaf_fields()["activation"][1].metadata["choices"]
VARIANTS = [
    {},
    *({"activation": name, "batch_normalization": name in ("leaky_relu", "silu")} for name in ACTIVATIONS),
    {"dropout": 0.5, "l2": 0.1},
    {"flip_average": True},
]
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


@pytest.mark.parametrize("family", EVERY)
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
        first = next(layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))
        assert isinstance(first, keras.layers.Rescaling)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(model(IMAGES)))

    @pytest.mark.parametrize(("shape", "classes"), [((8, 8), 2), ((33, 20), 13)])
    def test_other_sizes_work(self, family, shape, classes):
        model = models.build(ModelConfig(family=family), shape, classes)
        assert model(np.zeros((1, *shape, 1), np.uint8)).shape == (1, classes)

    def test_dropout_and_penalty_leave_the_first_weights_as_they_were(self, family):
        found = []
        for settings in ({}, {"dropout": 0.3, "l2": 0.1}):
            keras.utils.set_random_seed(0)
            found.append(models.build(ModelConfig(family=family, **settings)).get_weights())
        assert all(np.array_equal(plain, other) for plain, other in zip(*found, strict=True))

    def test_the_penalty_is_the_sum_of_the_squared_kernels(self, family):
        model = models.build(ModelConfig(family=family, filters=(4, 6, 8), l2=0.01))
        model.build((None, 28, 28, 1))
        squares = sum(
            float(np.square(np.asarray(weight)).sum()) for weight in model.trainable_weights if "kernel" in weight.path
        )
        assert float(sum(model.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
        assert models.build(ModelConfig(family=family)).losses == []

    def test_two_builds_have_the_same_names(self, family):
        first, second = (models.build(ModelConfig(family=family)) for _ in range(2))
        assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        *((family, settings) for family in SIZED for settings in VARIANTS),
        ("efficientnet_lite0", {"dropout": 0.5, "l2": 0.1, "flip_average": True}),
    ],
    ids=str,
)
def test_the_twin_for_training_has_the_same_variables(family, settings):
    """Weights are large, so that the activations get what SiLU and GELU dip for, and the last ones small."""
    config = ModelConfig(family=family, filters=(4, 6, 8), **settings)
    model, twin = models.build(config), models.build(config, logits=True)
    rng = np.random.default_rng(0)
    *weights, kernel, bias = (rng.uniform(0.5 if "variance" in w.path else -1, 1, w.shape) for w in model.weights)
    model.set_weights([*weights, 0.003 * kernel, bias])
    twin.set_weights(model.get_weights())
    names = [[weight.path.split("/", 1)[1] for weight in network.weights] for network in (model, twin)]
    assert names[0] == names[1]
    logits, probabilities = np.asarray(twin(IMAGES)), np.asarray(model(IMAGES))
    if config.flip_average:
        mirrored = np.asarray(twin(IMAGES[:, :, ::-1]))
        assert np.abs(logits - mirrored).max() > 4e-4  # the mean over a whole image of noise hardly turns
        logits = (logits + mirrored) / 2
    np.testing.assert_allclose(np.asarray(keras.ops.log_softmax(logits)), np.log(probabilities), atol=1e-4)


@pytest.mark.parametrize("family", SIZED)
class TestEveryFamilyWithSizes:
    def test_kernel_and_filters_are_what_the_config_says(self, family):
        model = models.build(ModelConfig(family=family, filters=(8, 16, 24), kernel_size=5))
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        per_block = {"vgg": [8, 16, 24, 24], "residual": [8, 16, 16, 16, 24, 24, 24]}.get(family, [8, 16, 24])
        assert sorted(layer.filters for layer in convolutions) == per_block
        convolutions = [layer for layer in convolutions if not layer.name.endswith("s")]  # but for the shortcuts
        assert convolutions[-1].kernel_size == (5, 5)

    def test_activation_and_normalization_are_what_the_config_says(self, family):
        for name in ACTIVATIONS:
            for normalize in (False, True):
                model = models.build(ModelConfig(family=family, activation=name, batch_normalization=normalize))
                kinds = [type(layer).__name__ for layer in model.layers]
                assert ("BatchNormalization" in kinds) == normalize
                found = {
                    layer.activation.__name__ if isinstance(layer, keras.layers.Activation) else type(layer).__name__
                    for layer in model.layers[:-1]
                    if type(layer).__name__ in ("Activation", "LeakyReLU", "ReLU") and layer.name != "stem_relu"
                }
                assert found == {{"leaky_relu": "LeakyReLU", "relu": "ReLU"}.get(name, name)}
                for layer in model.layers:
                    if isinstance(layer, keras.layers.BatchNormalization):
                        (before,) = layer._inbound_nodes[0].parent_nodes
                        (after,) = layer._outbound_nodes
                        assert isinstance(before.operation, keras.layers.Conv2D) and not before.operation.use_bias
                        assert name in after.operation.name or isinstance(after.operation, keras.layers.Add)

    def test_dropout_stands_behind_each_block_and_the_hidden_layer(self, family):
        given = (0.1, 0.2, 0.3, 0.4)[: 3 + FAMILIES[family].hidden_layer]
        config = ModelConfig(family=family, filters=(4, 6, 8), dropout=given)
        rates = [layer.rate for layer in models.build(config).layers if isinstance(layer, keras.layers.Dropout)]
        assert rates == list(given)
        with pytest.raises(InputError, match=f"got {len(given) + 1} numbers, expected one for all, or 3 for the block"):
            models.build(ModelConfig(family=family, filters=(4, 6, 8), dropout=(*given, 0.5)))
        assert not any("dropout" in layer.name for layer in models.build(ModelConfig(family=family)).layers)

    @pytest.mark.parametrize("blocks", [1, 2, 4, 6])
    @pytest.mark.parametrize("kernel_size", [3, 7])
    def test_any_depth_works_on_the_smallest_images(self, family, blocks, kernel_size):
        config = ModelConfig(family=family, filters=(4,) * blocks, kernel_size=kernel_size, dropout=0.1)
        model = models.build(config, (4, 4))
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert len({layer.name.rstrip("abs") for layer in convolutions}) == blocks
        assert np.asarray(model(np.zeros((1, 4, 4, 1), np.uint8))).sum() == pytest.approx(1, rel=1e-5)


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
    models.initialize(model, config, images[..., np.newaxis])
    kernel = model.get_layer("stem").get_weights()[0]
    np.testing.assert_allclose(kernel[..., :9], -kernel[..., 9:], rtol=1e-6)
    patches = np.lib.stride_tricks.sliding_window_view(images / 255.0, (3, 3), axis=(1, 2))[:, ::2, ::2].reshape(-1, 9)
    outputs = np.cov((patches @ kernel.reshape(9, 18)[:, :9]).T)
    variances = np.linalg.eigvalsh(np.cov(patches.T))[::-1]
    np.testing.assert_allclose(outputs, np.diag(variances / (variances + 1e-2)), atol=1e-3)


def test_the_stem_whitens_patches_of_all_channels():
    """Red and green that rise together, and blue that does so by itself: the strongest components tell them apart."""
    rng = np.random.default_rng(0)
    levels = rng.normal(128, 40, (300, 1, 1, 2)) + rng.normal(0, 1, (300, 12, 12, 2))
    images = levels[..., [0, 0, 1]].clip(0, 255).astype(np.uint8)
    config = preset("fast").model
    model = models.build(config, (12, 12, 3), 10)
    models.initialize(model, config, images)
    kernel = model.get_layer("stem").get_weights()[0]
    assert kernel.shape == (3, 3, 3, 18)
    patches = np.stack([images[:, y : y + 10, x : x + 10] for y in range(3) for x in range(3)], axis=3) / 255
    outputs = np.cov(patches[:, ::2, ::2].reshape(-1, 27) @ kernel[..., :2].reshape(27, 2), rowvar=False)
    np.testing.assert_allclose(outputs, np.eye(2), atol=0.05)


def test_initializing_leaves_a_family_without_computed_weights_alone():
    config = preset("reference").model
    model = models.build(config)
    before = model.get_weights()
    models.initialize(model, config, IMAGES)
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("family", SIZED)
@pytest.mark.parametrize(
    "settings", [{}, {"activation": "gelu", "batch_normalization": True, "dropout": 0.2, "l2": 1e-3}]
)
def test_bfloat16_is_the_arithmetic_alone(family, settings):
    """Variables and output stay float32, and nothing built afterwards is touched."""
    with backend.arithmetic(EngineConfig(precision="bfloat16")):
        twin = models.build(ModelConfig(family=family, **settings), logits=True)
    exact = models.build(ModelConfig(family=family, **settings), logits=True)
    exact.set_weights(twin.get_weights())
    assert {variable.dtype for variable in twin.variables} <= {"float32", "uint32", "int64"}
    assert {layer.compute_dtype for layer in twin.layers if isinstance(layer, keras.layers.Conv2D)} == {"bfloat16"}
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}
    rounded, logits = np.asarray(twin(IMAGES)), np.asarray(exact(IMAGES))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - logits).max() < 0.05 * np.abs(logits).max()


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 clzero\n", True),
        ("flags\t\t: fpu avx512f amx_bf16\n", True),
        ("Features\t: fp asimd i8mm bf16 dgh\n", True),
        ("model name\t: bf16\nflags\t\t: fpu avx2 avx512f\n", False),
        (None, False),
    ],
)
def test_bfloat16_is_taken_where_the_processor_tells_that_it_has_it(cpuinfo, native, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    if cpuinfo:
        path.write_text(cpuinfo)
    assert backend.multiplies_bfloat16(path) == native
    module = importlib.import_module("fmnist.backend.arithmetic")  # the package has a function of this name
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda: native)
    assert backend.precision(EngineConfig(precision="bfloat16")) == "bfloat16"
    with backend.arithmetic(EngineConfig(precision="auto")):
        assert keras.layers.Dense(1).compute_dtype == ("bfloat16" if native else "float32")


@pytest.mark.parametrize("family", [*SIZED, "efficientnet_lite0"])
def test_averaging_over_flips_takes_stock_layers_and_no_weights(family, tmp_path):
    """The file passes the check that foreign ones do, and its layers are those of the plain network, by name."""
    plain, model = (models.build(ModelConfig(family=family, flip_average=flip)) for flip in (False, True))
    assert model.count_params() == plain.count_params()
    assert {layer.name for layer in plain.layers if layer.weights} <= {layer.name for layer in model.layers}
    model.save(tmp_path / "model.keras")
    answer = open_keras(tmp_path / "model.keras").probabilities
    np.testing.assert_allclose(answer(IMAGES), answer(IMAGES[:, :, ::-1]), atol=1e-6)
