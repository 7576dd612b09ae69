"""MobileNetV2, and the conversion of the ImageNet weights that Keras offers for download.

Source: M. Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", 2018.
"""

from functools import partial
from pathlib import Path

import keras
import numpy as np

from fmnist.models import inverted
from fmnist.models.inverted import Group

GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(3, 3, 2, 6, 32),
    Group(4, 3, 2, 6, 64),
    Group(3, 3, 1, 6, 96),
    Group(3, 3, 2, 6, 160),
    Group(1, 3, 1, 6, 320),
)
CENTRING = (2.0, -1.0)

build = partial(inverted.build, "mobilenet_v2", GROUPS, CENTRING)


def convert(model: keras.Model, path: Path | None) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer but the last, by the layer's name, from Keras's own MobileNetV2.

    Both have their layers in the same order.

    The file is one that Keras can load into its MobileNetV2 without the top; None lets Keras download ImageNet's
    weights once, and keep them.
    Errors are Keras's own, where a download fails or a file does not fit.
    """
    theirs = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=str(path) if path else "imagenet")
    given = [layer.get_weights() for layer in theirs.layers if layer.weights]
    given[0] = [inverted.stem_kernel(given[0][0], model)]
    names = [layer.name for layer in model.layers if layer.weights][:-1]
    return dict(zip(names, given, strict=True))
