"""The fast network: a strided stem, so that no layer works at full resolution, and batch normalisation throughout."""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it: 28 → 14 in the stem, then a convolution at 14×14 and each further one after a pooling by two."""
    stem, *rest = config.filters
    blocks = [
        layer
        for number, filters in enumerate(rest)
        for layer in (
            *([layers.MaxPooling2D(2, padding="same")] if number else []),
            layers.Conv2D(filters, config.kernel_size, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        )
    ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(stem, config.kernel_size, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            *blocks,
            layers.GlobalMaxPooling2D(),
            layers.Dense(num_classes, activation=activation, name="probabilities"),
        ],
        name="fast",
    )
