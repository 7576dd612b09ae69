"""Opens Keras files (`.keras`) through Keras, after a look inside. The only predictor that loads TensorFlow."""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import backend
from fmnist.errors import InputError, first_line
from fmnist.evaluation.calibration import at_temperature
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked
from fmnist.text import plain, plural

BATCH_SIZE = 500
MAX_BYTES = 2**30
MAX_CONFIG_BYTES = 2 * 2**20
MAX_PARTS = 2_000
MAX_DEPTH = 100  # of groups in the weights; Keras has three for a layer, and as many for a network within a network
MAX_EXPANSION = 100  # deflate packs zeros to a thousandth; weights hardly at all
_FACTS = "metadata.json"  # where Keras keeps its version, and `fmnist export` its facts; not all writers have it
_MEMBERS = {"config.json", _FACTS, "model.weights.h5"}
# Keras 3.15 names the last one for networks that are no plain row of layers. Tuples, since a file may name anything.
_LAYER_MODULES = ("keras", "keras.layers", "keras.models", "keras.src.models.functional")
_PART_MODULES = ("keras.initializers", "keras.regularizers", "keras.constraints")
_VALUES = {"__keras_tensor__", "__tuple__"}  # how tensors and tuples stand in a configuration
# Stock layers that compute from numbers to numbers. What runs code (Lambda), reads files (TextVectorization, TFSMLayer)
# or wraps foreign modules is not among them.
_LAYER_NAMES = """
    Activation Add AlphaDropout Average AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D
    Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dropout ELU Flatten Functional GaussianDropout GaussianNoise
    GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU
    MaxPooling2D Maximum Minimum Multiply Normalization PReLU Permute RMSNormalization RandomBrightness
    RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU Rescaling Reshape Resizing
    SeparableConv2D Sequential Softmax SpatialDropout2D Subtract UnitNormalization UpSampling2D ZeroPadding2D
"""
LAYERS = frozenset(_LAYER_NAMES.split())
_CONTRACT = """expected one input of uint8 (N, H, W, 1) and one output of probabilities. Put this before your model:
    image = keras.Input((28, 28, 1), dtype="uint8")
    pixels = keras.layers.Rescaling(1 / 255)(image)  # or what your model was trained on
    keras.Model(image, model(pixels)).save("model.keras")"""


def open_keras(path: Path, metadata: dict[str, Any] | None = None, temperature: float = 1.0) -> Predictor:
    """Open a `.keras` file of stock layers, its logits divided by a temperature.

    The metadata are, by default, the facts that `fmnist export` put into the file, if any.

    Raises:
        InputError: it is no such file, holds something else than stock layers, is too large, or breaks the contract.
        RunError: Keras is not installed.
    """
    config, facts = _check_archive(path)
    backend.prepare()
    import keras

    _check_weights(path)
    try:
        with ThreadPoolExecutor(1) as thread:
            size = thread.submit(_bytes_for_a_picture, config).result()
        if size > MAX_BYTES:
            raise InputError(f"it would take {size:,} bytes for a picture; expected {MAX_BYTES:,} at most")
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise InputError(f"{path}: Keras cannot open it: {first_line(error)}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1 or model.inputs[0].dtype != "uint8":
        taken = ", ".join(f"{one.dtype} {tuple(one.shape)}" for one in model.inputs)
        raise InputError(f"{path}: takes {taken} and gives {plural(len(model.outputs), 'output')}; {_CONTRACT}")
    shape, answer = list(model.inputs[0].shape), backend.Predictor(model, BATCH_SIZE)

    def compute(batch: np.ndarray) -> np.ndarray:
        probabilities = answer(batch[..., 0])
        return probabilities if temperature == 1 else at_temperature(probabilities, temperature)

    known = facts if metadata is None else metadata
    return checked(compute, shape, known, str(path), format="keras", batch_size=20 * BATCH_SIZE)


def _check_archive(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the model's configuration and our facts; refuse no Keras file, bombs, and anything but stock layers."""
    if not path.is_file():  # a device has no end
        raise InputError(f"{path}: is no file; expected a model that Keras has saved")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            sizes = {entry.filename: entry.file_size for entry in entries}
            if len(sizes) != len(entries) or not _MEMBERS >= set(sizes) >= _MEMBERS - {_FACTS}:
                names = plain(", ".join(entry.filename for entry in entries[:5]))
                raise InputError(f"{path}: holds {names}; expected {', '.join(sorted(_MEMBERS))}")
            total, packed = sum(sizes.values()), sum(entry.compress_size for entry in entries)
            settings = max(sizes["config.json"], sizes.get(_FACTS, 0))
            if total > min(MAX_BYTES, MAX_EXPANSION * packed) or settings > MAX_CONFIG_BYTES:
                most = f"{MAX_BYTES:,} at most, {MAX_CONFIG_BYTES:,} of them settings, {MAX_EXPANSION} times the file"
                raise InputError(f"{path}: unpacks to {total:,} bytes; expected {most}")
            config = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read(_FACTS)) if _FACTS in sizes else {}
        if not isinstance(config, dict):
            raise InputError(f"{path}: its configuration is no JSON object")
        # `load_model` leaves the compile settings out with `compile=False`; only here, not in the networks inside.
        config.pop("compile_config", None)
        parts = list(_parts(config))
    except InputError:
        raise
    except Exception as error:  # zip, what it unpacks with, and JSON each have their own
        raise InputError(f"{path}: is no readable Keras file: {first_line(error)}") from error
    refused = (f"{part.get('module') or ''}.{part['class_name']}" for part in parts if not _is_stock(part))
    if foreign := sorted({plain(name.removeprefix("."))[:100] for name in refused}):
        raise InputError(f"{path}: holds {', '.join(foreign[:5])}; only stock Keras layers are loaded from a file")
    if len(parts) > MAX_PARTS:
        raise InputError(f"{path}: holds {len(parts):,} layers and parts of layers; expected at most {MAX_PARTS:,}")
    facts = metadata.get(METADATA_KEY, {}) if isinstance(metadata, dict) else {}
    return config, facts if isinstance(facts, dict) else {}


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object that a configuration would make, however deep it lies."""
    todo = [config]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            todo += node.values()
            if "class_name" in node:
                yield node


def _is_stock(part: dict[str, Any]) -> bool:
    """Whether a part is a stock layer or a stock part of one. Keras imports the module of anything else."""
    name, module = part["class_name"], part.get("module")
    if not isinstance(name, str) or part.get("registered_name") not in (None, name):
        return False
    if module in _LAYER_MODULES:
        return name in LAYERS or (name == "DTypePolicy" and module == "keras")
    if module in _PART_MODULES:
        return name[:1].isupper()  # a class; the functions there take settings apart
    return module is None and name in _VALUES


def _bytes_for_a_picture(config: dict[str, Any]) -> int:
    """Return the size of a network's weights and layers' outputs, without allocating any, in a thread of its own."""
    import keras

    # In this scope variables have shapes and no values. Leaving it would give them values, so it ends with the thread:
    # Keras keeps its state by thread.
    keras.StatelessScope().__enter__()
    model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    nodes = (node for layer in model._flatten_layers() for node in layer._inbound_nodes)
    shapes = [tensor.shape for node in nodes for tensor in node.output_tensors]
    shapes += [variable.shape for variable in model.variables]
    return 4 * sum(math.prod(side or 1 for side in shape) for shape in shapes)


def _check_weights(path: Path) -> None:
    """Refuse weights that lie in other files, or whose arrays are larger than the file could be meant to hold."""
    import h5py

    total = 0

    def visit(name: str, link: Any) -> str | None:  # the first text ends the visit: h5py takes no exception well
        nonlocal total
        if not isinstance(link, h5py.HardLink):
            return f"'{name}' are a link to somewhere else"
        if name.count("/") > MAX_DEPTH:  # each look takes as long as its name
            return f"lie more than {MAX_DEPTH} groups deep"
        item = weights[name]
        if isinstance(item, h5py.Dataset):
            total += item.nbytes
            if item.external or item.is_virtual:
                return f"'{name}' lie in another file"
        return f"take more than the {len(content):,} bytes that are there" if total > len(content) else None

    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(content)) as weights:
            problem = weights.visititems_links(visit)
    except Exception as error:  # zip, HDF5 and memory each have their own
        raise InputError(f"{path}: its weights cannot be read: {first_line(error)}") from error
    if problem:
        raise InputError(f"{path}: its weights {problem}")
