"""Opens whatever `export` writes: a SavedModel through TensorFlow, the others as `fmnist.predictor` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import backend
from fmnist.predictor import open_model

_BATCH_SIZE = 500


def open_artefact(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from images, uint8 (N, H, W), to probabilities, float32 (N, classes); for our own processes.

    Raises:
        InputError: the file is damaged or breaks the contract.
        RunError: the runtime that it needs is not installed.
    """
    if path.is_dir() or path.suffix == ".keras":
        backend.prepare(lean=True)
    if not path.is_dir():
        return open_model(path).probabilities
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def probabilities(images: np.ndarray) -> np.ndarray:
        parts = range(0, len(images), _BATCH_SIZE)
        batches = [tf.constant(images[start : start + _BATCH_SIZE, ..., np.newaxis]) for start in parts]
        return np.concatenate([next(iter(serve(**{name: batch}).values())).numpy() for batch in batches])

    return probabilities


def answer(*, path: str, images: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the probabilities of a file for images, in the form of `process.call`."""
    return {}, {"probabilities": open_artefact(Path(path))(images)}
