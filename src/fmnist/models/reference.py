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
        for number, filters in enumerate(config.filters, start=1)
        for layer in (
            layers.Conv2D(filters, config.kernel_size, padding="same", name=f"convolution_{number}"),
            layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE, name=f"leaky_relu_{number}"),
            layers.MaxPooling2D(2, padding="same", name=f"pooling_{number}"),
        )
    ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *blocks,
            layers.Flatten(name="flatten"),
            layers.Dense(128, name="hidden"),
            layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE, name="hidden_leaky_relu"),
            layers.Dense(num_classes, activation=activation, dtype="float32", name="probabilities"),
        ],
        name="reference",
    )
