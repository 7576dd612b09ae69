"""Keras files (`.keras`) through Keras, after a look inside. The only predictor that loads TensorFlow."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import engine
from fmnist.calibration import at_temperature
from fmnist.errors import InputError
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked, first_line

BATCH_SIZE = 500
MAX_BYTES = 2**30
MAX_CONFIG_BYTES = 16 * 2**20
# Where Keras keeps its version, and `fmnist export` its facts; not all writers have it.
_FACTS = "metadata.json"
_MEMBERS = {"config.json", _FACTS, "model.weights.h5"}
# Keras 3.15 names the last one for networks that are no plain row of layers.
_LAYER_MODULES = {"keras", "keras.layers", "keras.models", "keras.src.models.functional"}
_PART_MODULES = {"keras.initializers", "keras.regularizers", "keras.constraints"}
# How tensors, tuples and precisions stand in a configuration.
_VALUES = {"__keras_tensor__", "__tuple__", "DTypePolicy"}
# Stock layers that compute from numbers to numbers. What runs code (Lambda), reads files (TextVectorization, TFSMLayer)
# or wraps foreign modules is not among them.
# fmt: off
LAYERS = frozenset({
    "Activation", "Add", "AlphaDropout", "Average", "AveragePooling2D", "BatchNormalization", "CenterCrop",
    "Concatenate", "Conv2D", "Conv2DTranspose", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "ELU", "Flatten",
    "Functional", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
    "GroupNormalization", "Identity", "InputLayer", "LayerNormalization", "LeakyReLU", "MaxPooling2D", "Maximum",
    "Minimum", "Multiply", "Normalization", "PReLU", "Permute", "RMSNormalization", "RandomBrightness",
    "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "ReLU",
    "Rescaling", "Reshape", "Resizing", "SeparableConv2D", "Sequential", "Softmax", "SpatialDropout2D", "Subtract",
    "UnitNormalization", "UpSampling2D", "ZeroPadding2D",
})
# fmt: on


def open_keras(path: Path, metadata: dict[str, Any] | None = None, temperature: float = 1.0) -> Predictor:
    """Open a `.keras` file of stock layers.

    Args:
        path: the file.
        metadata: what is known of it; by default the facts that `fmnist export` put into the file, if any.
        temperature: what its logits are to be divided by.

    Raises:
        InputError: it is no such file, holds something else than stock layers, is too large, or breaks the contract.
        RunError: Keras is not installed.
    """
    facts = _check_archive(path)
    engine.prepare()
    import keras

    _check_weights(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise InputError(f"{path}: Keras cannot open it: {first_line(error)}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1 or model.inputs[0].dtype != "uint8":
        raise InputError(f"{path}: expected a model with one input of uint8 and one output")
    shape, answer = list(model.inputs[0].shape), engine.Predictor(model, BATCH_SIZE)

    def compute(batch: np.ndarray) -> np.ndarray:
        probabilities = answer(batch[..., 0])
        return probabilities if temperature == 1 else at_temperature(probabilities, temperature)

    known = facts if metadata is None else metadata
    return checked(compute, shape, known, str(path), format="keras", batch_size=20 * BATCH_SIZE)


def _check_archive(path: Path) -> dict[str, Any]:
    """Refuse archives that are no Keras files, bombs, and files that hold more than stock layers; return our facts."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if len(sizes) != len(archive.infolist()) or not _MEMBERS >= set(sizes) >= _MEMBERS - {_FACTS}:
                raise InputError(f"{path}: holds {', '.join(list(sizes)[:5])}; expected {', '.join(sorted(_MEMBERS))}")
            if sum(sizes.values()) > MAX_BYTES or max(sizes["config.json"], sizes.get(_FACTS, 0)) > MAX_CONFIG_BYTES:
                raise InputError(f"{path}: unpacks to {sum(sizes.values()):,} bytes; expected {MAX_BYTES:,} at most")
            config = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read(_FACTS)) if _FACTS in sizes else {}
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no readable Keras file: {first_line(error)}") from error
    foreign = sorted(_foreign(config))
    if foreign:
        raise InputError(f"{path}: holds {', '.join(foreign[:5])}; only stock Keras layers are loaded from a file")
    facts = metadata.get(METADATA_KEY, {}) if isinstance(metadata, dict) else {}
    return facts if isinstance(facts, dict) else {}


def _foreign(node: Any) -> set[str]:
    """Return what in a model's configuration is neither a stock layer nor a stock part of one."""
    found: set[str] = set()
    if isinstance(node, list):
        return found.union(*map(_foreign, node))
    if not isinstance(node, dict):
        return found
    name, module = node.get("class_name"), node.get("module")
    if name is not None:
        stock = name in LAYERS if module in _LAYER_MODULES else module in _PART_MODULES
        if not (stock and node.get("registered_name") in (None, name)) and name not in _VALUES:
            found.add(f"{module}.{name}" if module else str(name))
    # The compile settings are not loaded.
    return found.union(*(_foreign(value) for key, value in node.items() if key != "compile_config"))


def _check_weights(path: Path) -> None:
    """Refuse weights that lie in other files, or whose arrays are larger than the file could be meant to hold."""
    import io

    import h5py

    total = 0

    def visit(name: str, link: Any) -> str | None:  # the first text ends the visit: h5py takes no exception well
        nonlocal total
        if not isinstance(link, h5py.HardLink):
            return f"'{name}' are a link to somewhere else"
        item = weights[name]
        if isinstance(item, h5py.Dataset):
            total += item.nbytes
            if item.external or item.is_virtual:
                return f"'{name}' lie in another file"
        return f"take more than {MAX_BYTES:,} bytes" if total > MAX_BYTES else None

    try:
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            problem = weights.visititems_links(visit)
    except Exception as error:  # zip, HDF5 and memory each have their own
        raise InputError(f"{path}: its weights cannot be read: {first_line(error)}") from error
    if problem:
        raise InputError(f"{path}: its weights {problem}")
