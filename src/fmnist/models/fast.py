"""The fast network: a frozen stem that whitens patches, one strided convolution, and a hidden dense layer.

The sides shrink at once, 28 → 14 → 7. Where nothing trained lies before the convolution that strides, a step needs no
gradient of its input; 1×1 convolutions between the two are worth their time only in longer runs.
"""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.models import optional
from fmnist.models.whitening import initialize, stem

__all__ = ["initialize", "network"]

HIDDEN_UNITS = 64
# Keeps the first probabilities near uniform; worth 0.2 points after two epochs.
LOGIT_SCALE = 0.3


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it; `filters` are the stem's, those of 1×1 convolutions, if any, and of the one that strides."""
    first, *rest = config.filters
    convolutions = [
        layers.Conv2D(
            filters,
            config.kernel_size if number == len(rest) else 1,
            strides=2 if number == len(rest) else 1,
            padding="same",
            use_bias=not config.batch_normalization,  # which has a shift of its own
            kernel_regularizer=optional.penalty(config),
            name=f"convolution_{number}",
        )
        for number, filters in enumerate(rest, start=1)
    ]
    whitening = stem(first)
    hidden = layers.Dense(HIDDEN_UNITS, kernel_regularizer=optional.penalty(config), name="hidden")
    logits = layers.Dense(num_classes, kernel_regularizer=optional.penalty(config), dtype="float32", name="logits")
    stem_rate, *rates, hidden_rate = config.dropout_rates()
    blocks = [
        layer
        for number, (convolution, rate) in enumerate(zip(convolutions, rates, strict=True), start=1)
        for layer in (
            convolution,
            *optional.normalization(config, f"normalization_{number}"),
            optional.activation(config, str(number)),
            *optional.dropout(rate, f"dropout_{number}"),
        )
    ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            whitening,
            layers.MaxPooling2D(2, padding="same", name="stem_pooling"),
            layers.ReLU(name="stem_relu"),  # whatever the other activations are: `initialize` counts on it
            *optional.dropout(stem_rate, "stem_dropout"),
            *blocks,
            layers.Flatten(name="flatten"),
            hidden,
            optional.activation(config, "hidden"),
            *optional.dropout(hidden_rate, "hidden_dropout"),
            logits,
            layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logit_scale"),
            *([layers.Activation(activation, name="probabilities")] if activation else []),
        ],
        name="fast",
    )
