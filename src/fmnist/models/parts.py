"""Layers that several families share, and those that settings switch on: normalisation, activation, dropout, L2.

A layer that draws its weights, or is dropout, takes the next of Keras's global seeds when it is made. So the families
make all layers with weights first: switching dropout on leaves the first weights as they were.
"""

from typing import Any

import keras
from keras import layers, regularizers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models.batch_normalization import batch_normalization

NEGATIVE_SLOPE = 0.1  # of LeakyReLU
# Keeps the first probabilities near uniform; worth 0.2 points after two epochs of `fast`.
LOGIT_SCALE = 0.3


def sequence(name: str, image_shape: Shape, steps: list[layers.Layer]) -> keras.Sequential:
    """Return the network in which the layers follow one another, behind the rescaling of images to [0, 1]."""
    image = keras.Input(image_shape, dtype="uint8", name="image")
    return keras.Sequential([image, layers.Rescaling(1 / 255, name="rescaling"), *steps], name=name)


def convolution(
    config: ModelConfig, filters: int, place: str, *, size: int | None = None, active: bool = True, **settings: Any
) -> list[layers.Layer]:
    """Return a convolution with its normalisation, where there is one, and its activation, unless it is not `active`.

    The layers are named by its place in the network, such as `1` or `2b`; `settings` are for Keras's layer.
    """
    settings = {"padding": "same", "kernel_regularizer": penalty(config), "name": f"convolution_{place}"} | settings
    bias = not config.batch_normalization  # which has a shift of its own
    kernel = layers.Conv2D(filters, size or config.kernel_size, use_bias=bias, **settings)
    return [kernel, *normalization(config, place), *([activation(config, place)] if active else [])]


def normalization(config: ModelConfig, place: str) -> list[layers.Layer]:
    """Return what stands between a convolution and its activation: batch normalisation, or nothing."""
    named = f"normalization_{place}"
    return [batch_normalization(name=named)] if config.batch_normalization else []


def activation(config: ModelConfig, place: str) -> layers.Layer:
    """Return the activation of a place in the network, a block such as `1` or `2b`, or `hidden`."""
    name = f"hidden_{config.activation}" if place == "hidden" else f"{config.activation}_{place}"
    if config.activation == "leaky_relu":
        return layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE, name=name)
    return layers.ReLU(name=name) if config.activation == "relu" else layers.Activation(config.activation, name=name)


def dropout(rate: float, name: str) -> list[layers.Layer]:
    """Return dropout of a share (0 to 1) of the units, or nothing. Source: N. Srivastava et al., "Dropout", 2014."""
    return [layers.Dropout(rate, name=name)] if rate else []


def penalty(config: ModelConfig) -> regularizers.Regularizer | None:
    """Return what a kernel adds to the loss that is minimised: L2 times the sum of its squared weights, or nothing."""
    return regularizers.L2(config.l2) if config.l2 else None


def logits(config: ModelConfig, num_classes: int) -> layers.Layer:
    """Return the last layer with weights, a number for each class."""
    return layers.Dense(num_classes, kernel_regularizer=penalty(config), dtype="float32", name="logits")


def scaled(logits: layers.Layer, activation: str | None) -> list[layers.Layer]:
    """Return the last layer with weights, the scaling of its logits and, unless it is None, the output's activation."""
    scale = layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logit_scale")
    return [logits, scale, *([layers.Activation(activation, name="probabilities")] if activation else [])]


def in_turn(steps: list[Any], x: Any) -> Any:
    """Return the output of the last of the layers, or functions, each called with the output of the one before."""
    for step in steps:
        x = step(x)
    return x


def called(layer: layers.Layer, inputs: Any) -> Any:
    """Return the output of a layer, which in a network for training still knows training from inference.

    The default of `Resizing` is training, which Keras would hand on to the normalisation behind it, in a saved network
    that is simply called.
    """
    return layer(inputs, training=False) if isinstance(layer, layers.Resizing) else layer(inputs)
