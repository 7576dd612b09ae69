"""Converts a Keras model to one format, with its facts inside. Runs in a process of its own; knows no run directory."""

from __future__ import annotations

import importlib.util
import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist import backend
from fmnist.errors import RunError
from fmnist.evaluation import metrics
from fmnist.export import artefact, litert, onnx
from fmnist.predictor import METADATA_KEY

if TYPE_CHECKING:
    import keras


def convert(
    *,
    source: str,
    target: str,
    facts: dict[str, Any],
    examples: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write one exported file.

    Args:
        source: a `.keras` file.
        target: the path to write; for a SavedModel a folder.
        facts: what the file says of itself, `format` among it; its accuracy is measured here and added.
        examples: training images, uint8 (N, H, W), for the ranges of integer arithmetic.
        images: test images, uint8 (N, H, W).
        labels: integer (N,).

    Raises:
        RunError: the network cannot be converted to this format, or a converter is not installed.
    """
    path = Path(target)
    if facts["format"] == "keras":
        shutil.copyfile(source, path)
    else:
        _write(source, path, facts["format"], examples)
    facts = facts | {"accuracy": metrics.accuracy(artefact.open_artefact(path)(images), labels)}
    embed = {".tflite": litert.embed, ".onnx": onnx.embed, ".keras": _embed_keras, "": _embed_savedmodel}
    embed[path.suffix](path, facts)
    return {"accuracy": facts["accuracy"]}, {}


def _write(source: str, path: Path, format: str, examples: np.ndarray) -> None:
    for package in ("onnx", "tf2onnx") if path.suffix == ".onnx" else ():
        if importlib.util.find_spec(package) is None:
            raise RunError(f"'{package}' is not installed; install it with: pip install 'fmnist[export]'")
    backend.prepare(lean=True)
    import keras

    model = keras.models.load_model(source, compile=False, safe_mode=True)
    options: dict[str, Any] = {}
    if format.endswith("-int8"):
        model, scale = without_rescaling(model)
        options = {"scale": scale, "examples": examples[..., np.newaxis].astype(np.float32) * np.float32(scale)}
    if path.suffix == ".tflite":
        litert.write(model, path, half=format.endswith("-fp16"), **options)
    elif path.suffix == ".onnx":
        onnx.write(model, path, **options)
    else:
        model.export(str(path), format="tf_saved_model", verbose=False)


def without_rescaling(model: keras.Model) -> tuple[keras.Model, float]:
    """Return the part of a network behind its first layer, which takes floats, and what that multiplies by.

    Integer arithmetic needs it: a converter leaves a rescaling in floats, and what is left takes the pixels as they
    are, as whole steps of that scale.

    Raises:
        RunError: the first layer is no plain rescaling.
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


def _embed_keras(path: Path, facts: dict[str, Any]) -> None:
    """Put the facts into the archive's `metadata.json`, beside the version and date that Keras writes there."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps(json.loads(members["metadata.json"]) | {METADATA_KEY: facts}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _embed_savedmodel(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts where a SavedModel keeps what TensorFlow is not to read: `assets.extra`."""
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / f"{METADATA_KEY}.json").write_text(json.dumps(facts), encoding="utf-8")
