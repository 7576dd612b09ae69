"""A deeper network: pairs of 3×3 convolutions with batch normalisation between poolings, behind a whitening stem.

Source: K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, for
the shape; S. Ioffe and C. Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.models import optional
from fmnist.models.whitening import initialize, stem

__all__ = ["initialize", "network"]

# Keeps the first probabilities near uniform.
LOGIT_SCALE = 0.3


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it; `filters` are the stem's and each block's. The stem is the first half of the first block."""
    first, *rest = config.filters
    convolutions = [
        [
            layers.Conv2D(
                filters,
                config.kernel_size,
                padding="same",
                use_bias=not config.batch_normalization,  # which has a shift of its own
                kernel_regularizer=optional.penalty(config),
                name=f"convolution_{block}{half}",
            )
            for half in ("ab" if block > 1 else "b")
        ]
        for block, filters in enumerate(rest, start=1)
    ]
    whitening = stem(first)
    logits = layers.Dense(num_classes, kernel_regularizer=optional.penalty(config), dtype="float32", name="logits")
    stem_rate, *rates = config.dropout_rates()
    blocks: list[layers.Layer] = []
    for block, (halves, rate) in enumerate(zip(convolutions, rates, strict=True), start=1):
        for convolution in halves:
            place = convolution.name.removeprefix("convolution_")
            blocks += [convolution, *optional.normalization(config, f"normalization_{place}")]
            blocks.append(optional.activation(config, place))
        blocks += [
            layers.MaxPooling2D(2, padding="same", name=f"pooling_{block}"),
            *optional.dropout(rate, f"dropout_{block}"),
        ]
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            whitening,
            layers.ReLU(name="stem_relu"),  # whatever the other activations are: `initialize` counts on it
            *optional.dropout(stem_rate, "stem_dropout"),
            *blocks,
            layers.Flatten(name="flatten"),
            logits,
            layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logit_scale"),
            *([layers.Activation(activation, name="probabilities")] if activation else []),
        ],
        name="vgg",
    )
