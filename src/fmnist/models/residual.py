"""A residual network: blocks of two convolutions around a shortcut, behind a whitening stem; its stages shrink.

Normalisation follows each convolution, so that converters fold it into the kernels, in whole numbers too.
Source: K. He et al., "Deep residual learning for image recognition", 2015; J. Hu et al., "Squeeze-and-excitation
networks", 2017; F. Chollet, "Xception: Deep learning with depthwise separable convolutions", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.models import optional
from fmnist.models.whitening import initialize, stem

__all__ = ["initialize", "network"]

# Keeps the first probabilities near uniform.
LOGIT_SCALE = 0.3


def network(config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None) -> keras.Model:
    """Build it; `filters` are the stem's and each stage's. Between two stages lies a pooling."""
    # All layers with weights come first: see `optional.dropout`.
    whitening, stages = stem(config.filters[0]), []
    for stage, (before, filters, count) in enumerate(
        zip(config.filters, config.filters[1:], config.block_counts(), strict=False), start=1
    ):
        widths = [before] + [filters] * (count - 1)
        stages.append([_block(config, width, filters, f"{stage}_{n}") for n, width in enumerate(widths, start=1)])
    logits = layers.Dense(num_classes, kernel_regularizer=optional.penalty(config), dtype="float32", name="logits")
    rates = config.dropout_rates()

    image = keras.Input((*image_shape, 1), dtype="uint8", name="image")
    x = whitening(layers.Rescaling(1 / 255, name="rescaling")(image))
    x = layers.ReLU(name="stem_relu")(x)  # whatever the other activations are: `initialize` counts on it
    if config.stem_pooling:
        x = layers.MaxPooling2D(2, padding="same", name="stem_pooling")(x)
    for stage, blocks in enumerate(stages, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, padding="same", name=f"pooling_{stage - 1}")(x)
        x = _in_turn(optional.dropout(rates[stage - 1], f"dropout_{stage - 1}"), x)
        x = _in_turn(blocks, x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    scale = layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logit_scale")
    x = _in_turn([*optional.dropout(rates[-1], f"dropout_{len(stages)}"), logits, scale], x)
    if activation:
        x = layers.Activation(activation, name="probabilities")(x)
    return keras.Model(image, x, name="residual")


def _block(config: ModelConfig, width: int, filters: int, place: str) -> Callable[[Any], Any]:
    """Make the layers of a block, which takes `width` channels; return what calls them."""
    before, after = (_convolution(config, filters, f"{place}{half}") for half in "ab")
    shortcut = _projection(config, filters, f"{place}s") if width != filters else []
    excitation = _excitation(config, filters, place) if config.squeeze_excite else None

    def call(x: Any) -> Any:
        y = _in_turn([*before, optional.activation(config, f"{place}a"), *after], x)
        if excitation:
            y = excitation(y)
        y = layers.Add(name=f"sum_{place}")([_in_turn(shortcut, x), y])
        return optional.activation(config, f"{place}b")(y)

    return call


def _convolution(config: ModelConfig, filters: int, place: str) -> list[layers.Layer]:
    penalty, bias = optional.penalty(config), not config.batch_normalization  # which has a shift of its own
    name, size = f"convolution_{place}", config.kernel_size
    convolution = (
        layers.SeparableConv2D(
            filters,
            size,
            padding="same",
            use_bias=bias,
            depthwise_regularizer=penalty,
            pointwise_regularizer=penalty,
            name=name,
        )
        if config.separable
        else layers.Conv2D(filters, size, padding="same", use_bias=bias, kernel_regularizer=penalty, name=name)
    )
    return [convolution, *optional.normalization(config, f"normalization_{place}")]


def _projection(config: ModelConfig, filters: int, place: str) -> list[layers.Layer]:
    """Return the shortcut where the number of channels changes."""
    convolution = layers.Conv2D(
        filters,
        1,
        use_bias=not config.batch_normalization,
        kernel_regularizer=optional.penalty(config),
        name=f"convolution_{place}",
    )
    return [convolution, *optional.normalization(config, f"normalization_{place}")]


def _excitation(config: ModelConfig, filters: int, place: str) -> Callable[[Any], Any]:
    """Weigh each channel by what all of them show on the mean."""
    hidden, weight = (
        layers.Dense(units, activation, kernel_regularizer=optional.penalty(config), name=f"{name}_{place}")
        for units, activation, name in (
            (max(1, filters // config.squeeze_excite), "relu", "squeeze"),
            (filters, "sigmoid", "excite"),
        )
    )

    def call(x: Any) -> Any:
        means = layers.GlobalAveragePooling2D(keepdims=True, name=f"means_{place}")(x)
        return layers.Multiply(name=f"weighted_{place}")([x, weight(hidden(means))])

    return call


def _in_turn(steps: list[Any], x: Any) -> Any:
    for step in steps:
        x = step(x)
    return x
