"""The reference network: three blocks of convolution, LeakyReLU and max pooling; 356,234 parameters at 28×28.

Settings change the number of blocks and switch on normalisation and dropout.
"""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.models import optional

HIDDEN_UNITS = 128


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it; the pooling is `same`, 28 → 14 → 7 → 4, so that Flatten gives 4 × 4 × 128 = 2,048 features."""
    convolutions = [
        layers.Conv2D(
            filters,
            config.kernel_size,
            padding="same",
            use_bias=not config.batch_normalization,  # which has a shift of its own
            kernel_regularizer=optional.penalty(config),
            name=f"convolution_{number}",
        )
        for number, filters in enumerate(config.filters, start=1)
    ]
    hidden = layers.Dense(HIDDEN_UNITS, kernel_regularizer=optional.penalty(config), name="hidden")
    output = layers.Dense(
        num_classes,
        activation=activation,
        kernel_regularizer=optional.penalty(config),
        dtype="float32",
        name="probabilities",
    )
    *rates, hidden_rate = config.dropout_rates()
    blocks = [
        layer
        for number, (convolution, rate) in enumerate(zip(convolutions, rates, strict=True), start=1)
        for layer in (
            convolution,
            *optional.normalization(config, f"normalization_{number}"),
            optional.activation(config, str(number)),
            layers.MaxPooling2D(2, padding="same", name=f"pooling_{number}"),
            *optional.dropout(rate, f"dropout_{number}"),
        )
    ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *blocks,
            layers.Flatten(name="flatten"),
            hidden,
            optional.activation(config, "hidden"),
            *optional.dropout(hidden_rate, "hidden_dropout"),
            output,
        ],
        name="reference",
    )
