"""Averaging over flips inside the network: what it answers for an image and for its mirror image, in one graph.

Source: A. Krizhevsky, I. Sutskever and G. E. Hinton, "ImageNet classification with deep convolutional neural networks",
2012, who average over crops and flips when they test.
"""

from typing import Any

import keras
from keras import layers

from fmnist.models import parts


def averaged(network: keras.Model) -> keras.Model:
    """Return a network whose logits are the means of another's over an image and its mirror image.

    The means are of logits, not of probabilities, so that a temperature still folds into the last dense layer. The
    given network ends in logits, its first layer is the rescaling, and its layers serve both images: the new one,
    which ends in probabilities, has the same weights in the same order.
    """
    rescaling, *others = (layer for layer in network.layers if not isinstance(layer, layers.InputLayer))
    # Noted before any layer has two inputs.
    steps = [(layer, layer.input, layer.output) for layer in others]
    image = keras.Input(network.input_shape[1:], dtype="uint8", name="image")
    entry, x = rescaling.output, rescaling(image)
    both = [_through(steps, entry, x), _through(steps, entry, _mirrored(x))]
    logits = layers.Average(dtype="float32", name="flip_average")(both)
    return keras.Model(image, layers.Softmax(dtype="float32", name="flip_probabilities")(logits), name=network.name)


def _through(steps: list[tuple[layers.Layer, Any, Any]], entry: Any, x: Any) -> Any:
    """Call the layers, each with its input and output in their network, once more, with x in place of `entry`.

    The network itself, called, would stand in the graph as one layer: so its layers keep their names and places.
    """
    values = {id(entry): x}
    for layer, before, after in steps:
        values[id(after)] = x = parts.called(layer, keras.tree.map_structure(lambda tensor: values[id(tensor)], before))
    return x


def _mirrored(x: Any) -> Any:
    """Put the columns together in reverse order.

    No stock layer mirrors every image. Cropping and concatenating move values and nothing else, which every converter
    can do, in whole numbers too; a matrix with ones on its other diagonal would count among the weights.
    """
    width = x.shape[2]
    columns = [
        layers.Cropping2D(((0, 0), (left, width - 1 - left)), name=f"column_{left}")(x)
        for left in reversed(range(width))
    ]
    return layers.Concatenate(axis=2, name="mirrored")(columns)
