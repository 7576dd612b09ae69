"""Writes and opens SavedModels. The facts lie where a SavedModel keeps what TensorFlow doesn't read: `assets.extra`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import backend
from fmnist.export import network
from fmnist.predictor.predictor import METADATA_KEY

_BATCH_SIZE = 500


def write(source: Path, path: Path, quantization: str, examples: np.ndarray) -> None:
    """Convert a `.keras` file into a folder."""
    network.load(source).export(str(path), format="tf_saved_model", verbose=False)


def embed(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts into a folder."""
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / f"{METADATA_KEY}.json").write_text(json.dumps(facts), encoding="utf-8")


def open_file(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from images, uint8 (N, H, W, C), to probabilities, float32 (N, classes)."""
    backend.prepare(lean=True)
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def probabilities(images: np.ndarray) -> np.ndarray:
        parts = range(0, len(images), _BATCH_SIZE)
        batches = [tf.constant(images[start : start + _BATCH_SIZE]) for start in parts]
        return np.concatenate([next(iter(serve(**{name: batch}).values())).numpy() for batch in batches])

    return probabilities
