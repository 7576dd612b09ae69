"""Networks by family name: `build` makes any of them.

The contract of all: input uint8 (N, H, W, C), output float32 (N, classes), stock Keras layers only, rescaling to
[0, 1] as the first layer. A network that is built to be trained, in `backend.arithmetic`, has the same layers but for
batch normalisation, which has a faster twin.

A family is a row of `FAMILIES` in `fmnist.config` and a file of its name here. The file has a function
`build(config, image_shape, num_classes, activation)`, whose `config` is resolved and whose `activation`, the output's,
is `softmax` or None, for logits. Where the row says that ImageNet's weights exist, the file has a function
`convert(model, path)` too, which `pretrained` calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from fmnist import backend
from fmnist.config import FAMILIES, ModelConfig
from fmnist.data import shape
from fmnist.errors import InputError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["build", "initialize"]


def build(
    config: ModelConfig, image_shape: Sequence[int] = (28, 28, 1), num_classes: int = 10, *, logits: bool = False
) -> keras.Model:
    """Build a network with fresh weights; its layers draw them from Keras's global seed.

    Args:
        config: family and sizes.
        image_shape: height and width of the images, in pixels, and their channels: 1, for grey, if left out, or 3.
        num_classes: length of the output.
        logits: leave the softmax off the last layer, and averaging over flips. Training uses this twin, whose variables
            are the same in the same order, since a cross-entropy on logits is exact on every backend.

    Returns:
        A `keras.Model`: uint8 (N, H, W, C) to float32 probabilities (N, classes), rows sum to 1.

    Raises:
        InputError: the images are smaller than 4×4 pixels, or there are too few classes.
    """
    size = shape.full(image_shape)
    if num_classes < 2 or min(size[:2]) < 4:
        given = f"{num_classes} class(es) and images of {shape.told(size)}"
        raise InputError(f"got {given}; expected at least 2 classes and 4×4 pixels")
    backend.prepare()  # whoever builds a network before anything else
    activation = None if logits or config.flip_average else "softmax"
    family = import_module(f"fmnist.models.{config.family}")
    model: keras.Model = family.build(config.resolved(), size, num_classes, activation)
    if config.flip_average and not logits:
        from fmnist.models import flips

        return flips.averaged(model)
    return model


def initialize(model: keras.Model, config: ModelConfig, images: np.ndarray) -> None:
    """Set the weights that a family computes from the training images, uint8 (N, H, W, C), rather than draws."""
    if FAMILIES[config.family].whitened_stem:
        from fmnist.models import whitening

        whitening.initialize(model, images)
