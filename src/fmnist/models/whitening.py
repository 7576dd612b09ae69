"""A first layer that whitens patches; its weights are computed from the training images rather than learnt.

It needs neither a gradient nor a normalisation, so that the layer at full resolution costs little.
"""

import keras
import numpy as np
from keras import layers

STEM_KERNEL = 3
# Added to the variances of the patches' components; smaller values let noise through.
WHITENING_EPSILON = 1e-2
WHITENING_IMAGES = 1_000


def stem(filters: int) -> layers.Layer:
    """Return the layer; until `initialize` its weights are drawn like any other's."""
    return layers.Conv2D(filters, STEM_KERNEL, padding="same", use_bias=False, trainable=False, name="stem")


def rectifier() -> layers.Layer:
    """Return the stem's activation: ReLU whatever the other activations are, since `initialize` counts on it."""
    return layers.ReLU(name="stem_relu")


def initialize(model: keras.Model, images: np.ndarray) -> None:
    """Set the stem to the principal components of the images' patches, scaled to equal variance, and their negatives.

    The ReLU behind it keeps the positive part of each, so that together they lose nothing.
    Source: the whitening layer of K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.
    Of the training images, uint8 (N, H, W, C), the first 1,000 are used.
    """
    stem = model.get_layer("stem")
    kernel = stem.get_weights()[0]  # (3, 3, C, filters)
    pixels = images[:WHITENING_IMAGES].astype(np.float32) / 255
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (STEM_KERNEL, STEM_KERNEL), axis=(1, 2))
    patches = np.moveaxis(patches[:, ::2, ::2], 3, -1)  # every second one: they overlap
    patches = patches.reshape(-1, kernel[..., 0].size)
    variances, components = np.linalg.eigh(np.cov(patches.T.astype(np.float64)))
    count = min(kernel.shape[-1] // 2, patches.shape[1])
    chosen = components[:, ::-1][:, :count] / np.sqrt(variances[::-1][:count] + WHITENING_EPSILON)
    kernel[..., : 2 * count] = np.concatenate([chosen, -chosen], axis=1).reshape(*kernel.shape[:3], -1)
    stem.set_weights([kernel])
