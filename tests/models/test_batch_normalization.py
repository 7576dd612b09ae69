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


def twins(precision="float32"):
    """Keras's layer and the fused one, for 3 channels, with the same variables; they are not those of the start."""
    found = []
    for training in (False, True):
        with backend.arithmetic(EngineConfig(precision=precision)):
            if training:
                layer = batch_normalization(epsilon=1e-2, name="normalization")
            else:
                layer = keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-2, name="normalization")
        layer.build((None, 2, 2, 3))
        found.append(layer)
    values = [RNG.uniform(0.5, 1.5, 3) for _ in range(4)]
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


# How close: a rounding of float32, and some of bfloat16, of numbers up to about 4.
@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("bfloat16", 0.05)])
@pytest.mark.parametrize("count", [1, 3])
def test_the_twin_gives_the_same(precision, close, count):
    """Of 4 and of 12 values a channel: so few that a variance by n - 1 in place of n would be seen."""
    images, wanted = RNG.normal(3, 2, (2, count, 2, 2, 3)).astype(np.float32)
    plain, fused = twins(precision)
    for _ in range(2):
        pairs = zip(trained(plain, images, wanted), trained(fused, images, wanted), strict=True)
        for expected, found in pairs:
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(np.asarray(found, np.float32), np.asarray(expected, np.float32), atol=close)
    for before, after in zip(plain.non_trainable_variables, fused.non_trainable_variables, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5 if precision == "float32" else 1e-2)


@pytest.mark.parametrize("training", [False, True])
def test_in_inference_and_frozen_it_takes_the_averages(training):
    images = RNG.normal(3, 2, (2, 2, 2, 3)).astype(np.float32)
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
