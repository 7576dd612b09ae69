"""Cuts a network before its last layer, and chooses which layers of a pre-trained one are trained."""

import re

import keras
from keras import layers

BLOCK = re.compile(r"block_(\d+)_")


def last_layer(model: keras.Model) -> layers.Layer:
    """Return the layer whose weights give the classes: the last dense one."""
    return next(layer for layer in reversed(model.layers) if isinstance(layer, layers.Dense))


def split(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a network before its last dense layer and the dropout before that, into what computes features and the rest.

    Both are made of the network's own layers: what is learnt in a part is learnt in the whole.
    """
    cut = model.layers.index(last_layer(model))
    while isinstance(model.layers[cut - 1], layers.Dropout):
        cut -= 1
    features = model.layers[cut - 1].output
    entry = keras.Input(features.shape[1:], dtype=features.dtype, name="features")
    x = entry
    for layer in model.layers[cut:]:
        x = layer(x)
    return keras.Model(model.inputs[0], features), keras.Model(entry, x)


def freeze(model: keras.Model, blocks: int | None) -> None:
    """Leave a pre-trained network's normalisation as it is, and its blocks but for the last ones.

    The averages of batch normalisation were taken over a million photos; those over some hundred steps with a changing
    network are worse. Of the blocks, named `block_0_…`, `block_1_…` and so on, so many are trained, from the last one;
    None trains all, and what comes before them.
    """
    numbers = sorted({int(match[1]) for layer in model.layers if (match := BLOCK.match(layer.name))})
    first = None if blocks is None or blocks >= len(numbers) else f"block_{numbers[-blocks]}_"
    trained = first is None
    for layer in model.layers:
        trained = trained or layer.name.startswith(str(first))
        layer.trainable = trained and not isinstance(layer, layers.BatchNormalization)
