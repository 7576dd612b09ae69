"""Folds a temperature into a network: its answers are calibrated, and it is as large and as fast as before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist import backend
from fmnist.errors import RunError

if TYPE_CHECKING:
    import keras


def fold(*, source: str, target: str, temperature: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write a `.keras` file whose logits are those of another, divided by a temperature; in the form of `process.call`.

    Raises:
        RunError: what makes the logits is no dense layer.
    """
    backend.prepare(lean=True)
    import keras

    model = keras.models.load_model(source, compile=False, safe_mode=True)
    layer = logits_layer(model)
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])
    model.save(Path(target))
    return {}, {}


def logits_layer(model: keras.Model) -> keras.layers.Dense:
    """Return the dense layer that makes the logits: behind it come a softmax, plain rescalings and a mean over flips.

    Raises:
        RunError: there is another layer in between.
    """
    import keras

    softmax = keras.activations.softmax
    for layer in reversed(model.layers):
        last = getattr(layer, "activation", None)
        if isinstance(layer, keras.layers.Dense) and last in (softmax, keras.activations.linear):
            return layer
        scales = isinstance(layer, keras.layers.Rescaling) and not np.any(layer.offset)
        # The mean of what one layer makes of two images; of two layers, only one would be found.
        mean = isinstance(layer, keras.layers.Average) and len({id(x._keras_history[0]) for x in layer.input}) == 1
        if not (scales or mean or last is softmax or isinstance(layer, keras.layers.Softmax)):
            raise RunError(f"'{layer.name}' stands where a Dense layer and a softmax should end the network")
    raise RunError("the network has no Dense layer")
