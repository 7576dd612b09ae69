"""The reference network: three blocks of convolution, LeakyReLU and max pooling; 356,234 parameters at 28×28.

Settings change the number of blocks and switch on normalisation and dropout.
"""

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models import parts

HIDDEN_UNITS = 128


def build(config: ModelConfig, image_shape: Shape, num_classes: int, activation: str | None) -> keras.Model:
    """Build it; the pooling is `same`, 28 → 14 → 7 → 4, so that Flatten gives 4 × 4 × 128 = 2,048 features."""
    penalty = parts.penalty(config)
    blocks = [parts.convolution(config, filters, str(n)) for n, filters in enumerate(config.filters, start=1)]
    hidden = layers.Dense(HIDDEN_UNITS, kernel_regularizer=penalty, name="hidden")
    output = layers.Dense(num_classes, activation, kernel_regularizer=penalty, dtype="float32", name="probabilities")
    *rates, hidden_rate = config.dropout_rates()
    steps: list[layers.Layer] = []
    for number, (block, rate) in enumerate(zip(blocks, rates, strict=True), start=1):
        pooling = layers.MaxPooling2D(2, padding="same", name=f"pooling_{number}")
        steps += [*block, pooling, *parts.dropout(rate, f"dropout_{number}")]
    steps += [layers.Flatten(name="flatten"), hidden, parts.activation(config, "hidden")]
    return parts.sequence("reference", image_shape, [*steps, *parts.dropout(hidden_rate, "hidden_dropout"), output])
