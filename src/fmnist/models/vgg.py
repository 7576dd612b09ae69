"""A deeper network: pairs of 3×3 convolutions with batch normalisation between poolings, behind a whitening stem.

Source: K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, for
the shape; S. Ioffe and C. Szegedy, "Batch normalization", 2015.
"""

import keras
from keras import layers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models import parts, whitening


def build(config: ModelConfig, image_shape: Shape, num_classes: int, activation: str | None) -> keras.Model:
    """Build it; `filters` are the stem's and each block's. The stem is the first half of the first block."""
    first, *others = config.filters
    blocks = [
        [parts.convolution(config, filters, f"{block}{half}") for half in ("ab" if block > 1 else "b")]
        for block, filters in enumerate(others, start=1)
    ]
    stem, logits = whitening.stem(first), parts.logits(config, num_classes)
    stem_rate, *rates = config.dropout_rates()
    steps = [stem, whitening.rectifier(), *parts.dropout(stem_rate, "stem_dropout")]
    for block, (halves, rate) in enumerate(zip(blocks, rates, strict=True), start=1):
        steps += [layer for half in halves for layer in half]
        steps.append(layers.MaxPooling2D(2, padding="same", name=f"pooling_{block}"))
        steps += parts.dropout(rate, f"dropout_{block}")
    return parts.sequence(
        "vgg", image_shape, [*steps, layers.Flatten(name="flatten"), *parts.scaled(logits, activation)]
    )
