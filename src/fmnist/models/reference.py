"""The reference network: three blocks of convolution, LeakyReLU and max pooling; 356,234 parameters at 28×28."""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig

NEGATIVE_SLOPE = 0.1


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it; the pooling is `same`, 28 → 14 → 7 → 4, so that Flatten gives 4 × 4 × 128 = 2,048 features."""
    blocks = [
        layer
        for filters in config.filters
        for layer in (
            layers.Conv2D(filters, config.kernel_size, padding="same"),
            layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE),
            layers.MaxPooling2D(2, padding="same"),
        )
    ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255),
            *blocks,
            layers.Flatten(),
            layers.Dense(128),
            layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE),
            layers.Dense(num_classes, activation=activation, name="probabilities"),
        ],
        name="reference",
    )
