"""A deeper network: pairs of 3×3 convolutions with batch normalisation between poolings, behind a whitening stem.

Source: K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, for
the shape; S. Ioffe and C. Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.models.whitening import initialize, stem

__all__ = ["initialize", "network"]

# Batch normalisation's averages must follow weights that move fast.
MOMENTUM = 0.95
# Keeps the first probabilities near uniform.
LOGIT_SCALE = 0.3


def network(
    config: ModelConfig, image_shape: tuple[int, int], num_classes: int, activation: str | None
) -> keras.Sequential:
    """Build it; `filters` are the stem's and each block's. The stem is the first half of the first block."""
    first, *rest = config.filters
    blocks: list[layers.Layer] = []
    for block, filters in enumerate(rest, start=1):
        for half in "ab" if block > 1 else "b":
            name = f"{block}{half}"
            blocks += [
                layers.Conv2D(filters, config.kernel_size, padding="same", use_bias=False, name=f"convolution_{name}"),
                layers.BatchNormalization(momentum=MOMENTUM, name=f"normalization_{name}"),
                layers.ReLU(name=f"relu_{name}"),
            ]
        blocks.append(layers.MaxPooling2D(2, padding="same", name=f"pooling_{block}"))
    return keras.Sequential(
        [
            keras.Input((*image_shape, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            stem(first),
            layers.ReLU(name="stem_relu"),
            *blocks,
            layers.Flatten(name="flatten"),
            layers.Dense(num_classes, dtype="float32", name="logits"),
            layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logit_scale"),
            *([layers.Activation(activation, name="probabilities")] if activation else []),
        ],
        name="vgg",
    )
