"""Batch normalisation's twin for training: the same results as Keras's layer, and the same averages afterwards."""

import numpy as np
import pytest

from fmnist import backend, models
from fmnist.config import EngineConfig, preset

backend.prepare()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from fmnist.models.batch_normalization import FusedBatchNormalization, batch_normalization  # noqa: E402

RNG = np.random.default_rng(0)


def twins(precision="float32", channels=16):
    """Keras's layer and the fused one, with the same variables; they are not those of the start."""
    found = []
    for training in (False, True):
        with backend.arithmetic(EngineConfig(precision=precision)):
            if training:
                layer = batch_normalization(epsilon=1e-2, name="normalization")
            else:
                layer = keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-2, name="normalization")
        layer.build((None, 2, 2, channels))
        found.append(layer)
    values = [RNG.uniform(0.5, 1.5, channels) for _ in range(4)]
    for layer in found:
        layer.set_weights(values)
    assert [type(layer) for layer in found] == [keras.layers.BatchNormalization, FusedBatchNormalization]
    return found


def trained(layer, images, wanted):
    """What the layer gives in training, the gradients of a loss by images and weights, and the averages afterwards."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * wanted)
    gradients = tape.gradient(loss, [images, *(variable.value for variable in layer.trainable_variables)])
    return [outputs, *gradients, *layer.non_trainable_variables]


# How close, of numbers up to 4: a rounding of float32, and some of bfloat16.
@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("bfloat16", 0.05)])
@pytest.mark.parametrize("count", [1, 3])
def test_the_twin_gives_the_same(precision, close, count):
    """Of 4 and of 12 values a channel: so few that a variance by n - 1 in place of n would be seen."""
    images, wanted = RNG.normal(3, 2, (2, count, 2, 2, 16)).astype(np.float32)
    plain, fused = twins(precision)
    for _ in range(2):
        pairs = zip(trained(plain, images, wanted), trained(fused, images, wanted), strict=True)
        for expected, found in pairs:
            assert found.dtype == expected.dtype
            found, expected = np.asarray(found, np.float32), np.asarray(expected, np.float32)
            np.testing.assert_allclose(found, expected, atol=close * max(1, np.abs(expected).max() / 4))
    for before, after in zip(plain.non_trainable_variables, fused.non_trainable_variables, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5 if precision == "float32" else 1e-2)


@pytest.mark.parametrize(
    ("precision", "channels", "fused"), [("float32", 24, 1), ("bfloat16", 24, 0), ("bfloat16", 32, 1)]
)
def test_the_operation_is_taken_where_it_is_quicker(precision, channels, fused, monkeypatch):
    calls = []
    _, layer = twins(precision, channels)
    operation = layer._operation
    monkeypatch.setattr(layer, "_operation", lambda *given: calls.append(given) or operation(*given))
    layer(np.ones((2, 2, 2, channels), np.float32), training=True)
    assert len(calls) == fused


@pytest.mark.parametrize("training", [False, True])
def test_in_inference_and_frozen_it_takes_the_averages(training):
    images = RNG.normal(3, 2, (2, 2, 2, 16)).astype(np.float32)
    plain, fused = twins()
    before = fused.get_weights()
    plain.trainable = fused.trainable = not training
    np.testing.assert_array_equal(fused(images, training=training), plain(images, training=training))
    for found, expected in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["accurate", "micro", "transfer"])
def test_only_the_network_in_training_has_the_twin(name):
    config = preset(name).model
    with backend.arithmetic(EngineConfig()):
        trained = models.build(config, logits=True)
    saved = models.build(config)
    kinds = [
        {type(layer) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)}
        for network in (trained, saved)
    ]
    assert kinds == [{FusedBatchNormalization}, {keras.layers.BatchNormalization}]
    paths = [[variable.path for variable in network.weights] for network in (trained, saved)]
    assert paths[0] == paths[1]
