"""LiteRT files (`.tflite`) through `ai_edge_litert`: no TensorFlow."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np

from fmnist.backend import silent_stderr
from fmnist.errors import InputError, RunError
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked, first_line, parse_metadata
from fmnist.run.environment import cores

# Small batches stay in the cache: 16 to 64 were the fastest for the small networks, 500 took half as long again.
BATCH_SIZE = 32
_MAGIC = b"TFL3"
# Fields of the tables in TensorFlow Lite's schema.fbs, counted from 0.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_MODEL_EXTERNAL = (8, 9)  # external_buffer_groups and external_buffers: weights in other files
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0


def open_litert(content: bytes, name: str, threads: int | None = None) -> Predictor:
    """Open a LiteRT file.

    Args:
        content: its bytes.
        name: what messages call it.
        threads: of the arithmetic; by default as many as there are cores, 8 at most.

    Raises:
        InputError: it is no LiteRT file, has weights in other files, needs ops that LiteRT lacks (Flex), or breaks the
            contract.
        RunError: `ai_edge_litert` is not installed.
    """
    if content[4:8] != _MAGIC:
        raise InputError(f"{name}: is no LiteRT file; expected '{_MAGIC.decode()}' at its fifth byte")
    if _has_outside_data(content):
        raise InputError(f"{name}: has weights in other files; expected one file, as `fmnist export` writes")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silent_stderr():
            from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise RunError(f"{name} needs '{error.name}', which is not installed; pip install ai-edge-litert") from error
    try:
        with silent_stderr():
            interpreter = Interpreter(model_content=content, num_threads=threads or min(cores(), 8))
            interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{name}: LiteRT cannot open it: {first_line(error)}") from error
    wanted = [output for output in outputs if len(output["shape_signature"]) == 2]
    if len(inputs) != 1 or inputs[0]["dtype"] is not np.uint8 or not wanted:
        raise InputError(
            f"{name}: has {len(inputs)} input(s), the first of type {inputs[0]['dtype'].__name__ if inputs else None}; "
            "expected one of uint8, and probabilities (N, classes) as output"
        )
    into, out = inputs[0]["index"], wanted[0]

    def compute(batch: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != batch.shape:
            interpreter.resize_tensor_input(into, batch.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(into, batch)
        interpreter.invoke()
        return _dequantized(interpreter.get_tensor(out["index"]), out)

    shape = [int(side) for side in inputs[0]["shape_signature"]]
    metadata = parse_metadata(_metadata(content), name)
    return checked(compute, shape, metadata, name, format="litert", batch_size=BATCH_SIZE)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if values.dtype == np.float32:
        return values
    scale, zero = details["quantization"]
    return ((values.astype(np.float32) - zero) * scale).astype(np.float32)


def _has_outside_data(content: bytes) -> bool:
    from flatbuffers import encode, packer
    from flatbuffers.table import Table

    try:
        model = Table(content, encode.Get(packer.uoffset, content, 0))
        return any(model.Offset(4 + 2 * slot) for slot in _MODEL_EXTERNAL)
    except (IndexError, struct.error, TypeError):  # offsets beyond the file, which the runtime refuses
        return False


def _metadata(content: bytes) -> bytes | None:
    """Return the buffer that the file's metadata has under our name, or None.

    Read with the FlatBuffers runtime alone: the schema's generated classes take longer to import than all the rest.
    """
    from flatbuffers import encode, packer
    from flatbuffers.table import Table

    def tables(table: Table, slot: int) -> list[Table]:
        offset = table.Offset(4 + 2 * slot)
        start = table.Vector(offset) if offset else 0
        count = table.VectorLen(offset) if offset else 0
        return [Table(content, table.Indirect(start + 4 * number)) for number in range(count)]

    def text(table: Table, slot: int) -> bytes:
        offset = table.Offset(4 + 2 * slot)
        if not offset:
            return b""
        start = table.Vector(offset)
        return content[start : start + table.VectorLen(offset)]

    try:
        model = Table(content, encode.Get(packer.uoffset, content, 0))
        for entry in tables(model, _MODEL_METADATA):
            if text(entry, _METADATA_NAME) == METADATA_KEY.encode():
                offset = entry.Offset(4 + 2 * _METADATA_BUFFER)
                number = encode.Get(packer.uint32, content, entry.Pos + offset) if offset else 0
                return text(tables(model, _MODEL_BUFFERS)[number], _BUFFER_DATA)
    except (IndexError, struct.error, TypeError):  # offsets beyond the file
        return None
    return None
