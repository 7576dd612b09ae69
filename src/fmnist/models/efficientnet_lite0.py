"""EfficientNet-Lite0, a network for phones, and the conversion of its ImageNet weights from PyTorch's tensors.

Source: M. Tan and Q. V. Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", 2019, for the
groups; the Lite variant (no squeeze and excitation, ReLU6 for swish, pixels as (x − 127) / 128) is that of TensorFlow's
official TPU models.
"""

import re
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fmnist.config import FAMILIES
from fmnist.errors import InputError
from fmnist.models import inverted
from fmnist.models.inverted import Group
from fmnist.models.tensors import read_tensors

GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
CENTRING = (255 / 128, -127 / 128)

# The file's tensors for a convolution and for its normalisation, by what the convolution's name ends in.
TENSORS = {
    "stem": ("_conv_stem", "_bn0"),
    "expansion": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "projection": ("_project_conv", "_bn2"),
    "top": ("_conv_head", "_bn1"),
}

build = partial(inverted.build, "efficientnet_lite0", GROUPS, CENTRING)


def convert(model: keras.Model, path: Path) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer but the last, by the layer's name, from a file of PyTorch's tensors."""
    tensors = read_tensors(path, FAMILIES["efficientnet_lite0"].sha256)
    found: dict[str, list[np.ndarray]] = {}
    for layer in model.layers:
        block = re.fullmatch(r"block_(\d+)_(\w+)", layer.name)
        names = TENSORS.get((block[2] if block else layer.name).removesuffix("_normalization"))
        if names is None:
            continue
        normalizes = isinstance(layer, layers.BatchNormalization)
        place = (f"_blocks.{block[1]}." if block else "") + names[normalizes]
        parts = ("weight", "bias", "running_mean", "running_var") if normalizes else ("weight",)
        if missing := [f"{place}.{part}" for part in parts if f"{place}.{part}" not in tensors]:
            raise InputError(f"{path} has no tensor named '{missing[0]}'; expected EfficientNet-Lite0's")
        found[layer.name] = [tensors[f"{place}.{part}"] for part in parts]
        if not normalizes:
            (kernel,) = found[layer.name]  # (outputs, inputs, height, width)
            order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
            kernel = kernel.transpose(order)
            found[layer.name] = [inverted.stem_kernel(kernel, model) if layer.name == "stem" else kernel]
    return found
