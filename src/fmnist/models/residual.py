"""A residual network: blocks of two convolutions around a shortcut, behind a whitening stem; its stages shrink.

Normalisation follows each convolution, so that converters fold it into the kernels, in whole numbers too.
Source: K. He et al., "Deep residual learning for image recognition", 2015; J. Hu et al., "Squeeze-and-excitation
networks", 2017; F. Chollet, "Xception: Deep learning with depthwise separable convolutions", 2016.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models import parts, whitening


def build(config: ModelConfig, image_shape: Shape, num_classes: int, activation: str | None) -> keras.Model:
    """Build it; `filters` are the stem's and each stage's. Between two stages lies a pooling."""
    stem, stages = whitening.stem(config.filters[0]), []
    sizes = zip(config.filters, config.filters[1:], config.block_counts(), strict=False)
    for stage, (before, filters, count) in enumerate(sizes, start=1):
        widths = [before] + [filters] * (count - 1)
        stages.append([_block(config, width, filters, f"{stage}_{n}") for n, width in enumerate(widths, start=1)])
    logits, rates = parts.logits(config, num_classes), config.dropout_rates()

    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = parts.in_turn([layers.Rescaling(1 / 255, name="rescaling"), stem, whitening.rectifier()], image)
    if config.stem_pooling:
        x = layers.MaxPooling2D(2, padding="same", name="stem_pooling")(x)
    for stage, blocks in enumerate(stages, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, padding="same", name=f"pooling_{stage - 1}")(x)
        x = parts.in_turn([*parts.dropout(rates[stage - 1], f"dropout_{stage - 1}"), *blocks], x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    last = [*parts.dropout(rates[-1], f"dropout_{len(stages)}"), *parts.scaled(logits, activation)]
    return keras.Model(image, parts.in_turn(last, x), name="residual")


def _block(config: ModelConfig, width: int, filters: int, place: str) -> Callable[[Any], Any]:
    """Make the layers of a block, which takes `width` channels; return the function that calls them."""
    first, between = _convolution(config, filters, f"{place}a"), parts.activation(config, f"{place}a")
    convolutions = [*first, between, *_convolution(config, filters, f"{place}b")]
    shortcut = []
    if width != filters:
        shortcut = parts.convolution(config, filters, f"{place}s", size=1, active=False, padding="valid")
    excitation = [_excitation(config, filters, place)] if config.squeeze_excite else []

    def call(x: Any) -> Any:
        y = parts.in_turn([*convolutions, *excitation], x)
        y = layers.Add(name=f"sum_{place}")([parts.in_turn(shortcut, x), y])
        return parts.activation(config, f"{place}b")(y)

    return call


def _convolution(config: ModelConfig, filters: int, place: str) -> list[layers.Layer]:
    if not config.separable:
        return parts.convolution(config, filters, place, active=False)
    settings = {"padding": "same", "use_bias": not config.batch_normalization, "name": f"convolution_{place}"}
    settings |= dict.fromkeys(("depthwise_regularizer", "pointwise_regularizer"), parts.penalty(config))
    convolution = layers.SeparableConv2D(filters, config.kernel_size, **settings)
    return [convolution, *parts.normalization(config, place)]


def _excitation(config: ModelConfig, filters: int, place: str) -> Callable[[Any], Any]:
    """Return a function that weighs each channel by the means of all of them."""
    penalty, narrow = parts.penalty(config), max(1, filters // config.squeeze_excite)
    hidden = layers.Dense(narrow, "relu", kernel_regularizer=penalty, name=f"squeeze_{place}")
    weight = layers.Dense(filters, "sigmoid", kernel_regularizer=penalty, name=f"excite_{place}")

    def call(x: Any) -> Any:
        means = layers.GlobalAveragePooling2D(keepdims=True, name=f"means_{place}")(x)
        return layers.Multiply(name=f"weighted_{place}")([x, weight(hidden(means))])

    return call
