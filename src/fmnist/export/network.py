"""What an export does to a Keras network: loads it, folds a temperature into it, and takes its rescaling away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fmnist import backend
from fmnist.errors import RunError
from fmnist.predictor.process import Answer

if TYPE_CHECKING:
    import keras


def load(source: str | Path) -> keras.Model:
    """Return the network in a `.keras` file of ours."""
    backend.prepare(lean=True)
    import keras

    return keras.models.load_model(source, compile=False, safe_mode=True)


def fold(*, source: str, target: str, temperature: float) -> Answer:
    """Write a `.keras` file whose logits are those of another, divided by a temperature."""
    model = load(source)
    layer = logits_layer(model)
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])
    model.save(Path(target))
    return {}, {}


def logits_layer(model: keras.Model) -> keras.layers.Dense:
    """Return the dense layer that makes the logits: behind it stand a softmax, plain rescalings, a mean over flips."""
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


def load_for_integers(source: Path, examples: np.ndarray) -> tuple[keras.Model, np.ndarray, float]:
    """Return the part of a network behind its rescaling, what it takes for uint8 images (N, H, W, C), and the scale.

    The part takes floats; the examples come as it gets them, float32 (N, H, W, C); a step of uint8 is worth the scale.
    """
    part, scale = without_rescaling(load(source))
    return part, examples.astype(np.float32) * np.float32(scale), scale


def without_rescaling(model: keras.Model) -> tuple[keras.Model, float]:
    """Return the part of a network behind its first layer, which takes floats, and what that multiplies by.

    Integer arithmetic needs it: a converter leaves a rescaling in floats, and what is left takes the pixels as they
    are, as whole steps of that scale.
    """
    import keras

    first = next(layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))
    if not isinstance(first, keras.layers.Rescaling) or np.ndim(first.scale) or np.any(first.offset):
        raise RunError(f"the first layer is '{first.name}'; whole numbers need a Rescaling without offset there")
    part = keras.models.clone_model(
        model,
        input_tensors=keras.Input(model.input_shape[1:], name="image"),
        # The other layers themselves, not copies of them.
        clone_function=lambda layer: keras.layers.Identity() if layer is first else layer,
    )
    return part, float(first.scale)
