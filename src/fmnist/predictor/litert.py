"""Opens LiteRT files (`.tflite`) through `ai_edge_litert`: no TensorFlow."""

import os
import struct
from typing import Any

import numpy as np

from fmnist.backend import silent_stderr
from fmnist.errors import InputError, RunError, first_line
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked, parse_metadata
from fmnist.text import plural

# Small batches stay in the cache: 16 to 64 were the fastest for the small networks, 500 took half as long again.
BATCH_SIZE = 32
_MAGIC = b"TFL3"
# What reading beyond the end of a damaged file raises; the runtime refuses such a file.
_DAMAGED = (AttributeError, IndexError, ValueError, TypeError, struct.error)


def open_litert(content: bytes, name: str, threads: int = 1) -> Predictor:
    """Open a LiteRT file, which messages call by `name`.

    Raises:
        InputError: it is no LiteRT file, has weights in other files, needs ops that LiteRT lacks (Flex), or breaks the
            contract.
        RunError: `ai_edge_litert` is not installed.
    """
    if content[4:8] != _MAGIC:
        raise InputError(f"{name}: is no LiteRT file; expected '{_MAGIC.decode()}' at its fifth byte")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silent_stderr():
            from ai_edge_litert.interpreter import Interpreter
            from ai_edge_litert.schema_py_generated import Model
    except ImportError as error:
        raise RunError(f"{name} needs '{error.name}', which is not installed; pip install ai-edge-litert") from error
    model = Model.GetRootAs(content)
    if _has_outside_data(model):
        raise InputError(f"{name}: has weights in other files; expected one file, as `fmnist export` writes")
    try:
        with silent_stderr():
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{name}: LiteRT cannot open it: {first_line(error)}") from error
    wanted = [output for output in outputs if len(output["shape_signature"]) == 2]
    if len(inputs) != 1 or inputs[0]["dtype"] is not np.uint8 or not wanted:
        found = f"{plural(len(inputs), 'input')}, the first of type {inputs[0]['dtype'].__name__ if inputs else None}"
        raise InputError(f"{name}: has {found}; expected one of uint8, and probabilities (N, classes) as output")
    into, out = inputs[0]["index"], wanted[0]

    def compute(batch: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != batch.shape:
            interpreter.resize_tensor_input(into, batch.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(into, batch)
        interpreter.invoke()
        values = interpreter.get_tensor(out["index"])
        if values.dtype == np.float32:
            return values
        scale, zero = out["quantization"]
        return ((values.astype(np.float32) - zero) * scale).astype(np.float32)

    shape = [int(side) for side in inputs[0]["shape_signature"]]
    metadata = parse_metadata(_metadata(model), name)
    return checked(compute, shape, metadata, name, format="litert", batch_size=BATCH_SIZE)


def _has_outside_data(model: Any) -> bool:
    try:
        return not (model.ExternalBufferGroupsIsNone() and model.ExternalBuffersIsNone())
    except _DAMAGED:
        return False


def _metadata(model: Any) -> bytes | None:
    """Return the buffer that the file's metadata has under our name, or None."""
    try:
        entries = map(model.Metadata, range(model.MetadataLength()))
        number = next(entry.Buffer() for entry in entries if entry.Name() == METADATA_KEY.encode())
        return bytes(model.Buffers(number).DataAsNumpy())
    except (StopIteration, *_DAMAGED):
        return None
