"""The fast network: a frozen stem that whitens patches, one strided convolution, and a hidden dense layer.

The sides shrink at once, 28 → 14 → 7; those of large images by more behind the stem, 224 → 32 → 16. Where nothing
trained lies before the convolution that strides, a step needs no gradient of its input; 1×1 convolutions between the
two are worth their time only in longer runs.
"""

import math

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models import parts, whitening

HIDDEN_UNITS = 64
# Of an image's longer side, at most so many places are left behind the stem.
POOLED_SIDE = 32


def build(config: ModelConfig, image_shape: Shape, num_classes: int, activation: str | None) -> keras.Model:
    """Build it; `filters` are the stem's, those of 1×1 convolutions, if any, and those of the strided convolution."""
    first, *between = config.filters
    blocks = [
        parts.convolution(config, filters, str(number), strides=2)
        if number == len(between)
        else parts.convolution(config, filters, str(number), size=1)
        for number, filters in enumerate(between, start=1)
    ]
    stem = whitening.stem(first)
    hidden = layers.Dense(HIDDEN_UNITS, kernel_regularizer=parts.penalty(config), name="hidden")
    logits = parts.logits(config, num_classes)
    stem_rate, *rates, hidden_rate = config.dropout_rates()
    window = max(2, math.ceil(max(image_shape[:2]) / POOLED_SIDE))
    pooling = layers.MaxPooling2D(window, padding="same", name="stem_pooling")
    steps = [stem, pooling, whitening.rectifier(), *parts.dropout(stem_rate, "stem_dropout")]
    for number, (block, rate) in enumerate(zip(blocks, rates, strict=True), start=1):
        steps += [*block, *parts.dropout(rate, f"dropout_{number}")]
    steps += [layers.Flatten(name="flatten"), hidden, parts.activation(config, "hidden")]
    steps += [*parts.dropout(hidden_rate, "hidden_dropout"), *parts.scaled(logits, activation)]
    return parts.sequence("fast", image_shape, steps)
