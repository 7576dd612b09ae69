"""Writes LiteRT files: the conversion, the check of their ops, and the facts inside.

The facts lie in the metadata buffer named `fmnist` (`predictor.METADATA_KEY`) as the UTF-8 text of one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.errors import RunError
from fmnist.predictor import METADATA_KEY

if TYPE_CHECKING:
    import keras


def write(
    model: keras.Model, path: Path, *, half: bool = False, examples: np.ndarray | None = None, scale: float = 1.0
) -> None:
    """Convert a model.

    Args:
        model: the whole network; or, with `examples`, the part behind its rescaling, which takes floats.
        path: ends in `.tflite`.
        half: keep the weights in float16.
        examples: float32 (N, H, W, 1), what that part is fed with: all arithmetic is to be of integers, in ranges
            measured with these. The input is uint8; the softmax gives steps of 1/256, as float32.
        scale: what one step of the uint8 input is worth to that part.

    Raises:
        RunError: the network needs ops that LiteRT lacks, or its input came out with another scale.
    """
    import tensorflow as tf

    builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if examples is not None else tf.lite.OpsSet.TFLITE_BUILTINS
    # Keras would allow Flex ops, which need TensorFlow inside the runtime.
    options: dict[str, Any] = {"target_spec": {"supported_ops": [builtins]}}
    if half or examples is not None:
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if half:
        options["target_spec"]["supported_types"] = [tf.float16]
    if examples is not None:
        options |= {"inference_input_type": tf.uint8, "representative_dataset": lambda: _one_by_one(examples, scale)}
    try:
        model.export(str(path), format="litert", verbose=False, **options)
    except Exception as error:
        if "flex" in str(error).lower():
            raise RunError("the network has layers that LiteRT's own ops cannot compute; change the network") from error
        raise
    if examples is not None:
        (tensor,) = [_read(path).subgraphs[0].tensors[number] for number in _read(path).subgraphs[0].inputs]
        found = (float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
        if found != (float(np.float32(scale)), 0):
            raise RunError(f"the input came out with scale and zero point {found}; expected {(scale, 0)}")


def _one_by_one(examples: np.ndarray, scale: float) -> Iterator[list[np.ndarray]]:
    """Yield batches of one, and one more picture that holds both ends of the range: the input's scale hangs on them."""
    ends = examples[0].copy()
    ends.flat[:2] = 0, 255 * scale
    for example in (*examples, ends):
        yield [example[np.newaxis]]


def embed(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts into a file, name its input and output after them, and check its ops.

    Raises:
        RunError: it holds custom (Flex) ops.
    """
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = _read(path)
    check_ops(model)
    for signature in model.signatureDefs:
        for ends, part in ((signature.inputs, facts["input"]), (signature.outputs, facts["output"])):
            ends[0].name = model.subgraphs[0].tensors[ends[0].tensorIndex].name = part["name"]
    model.description = "fmnist"
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    entry.name, entry.buffer = METADATA_KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = Builder(path.stat().st_size + 2**16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def check_ops(model: Any) -> None:
    """Refuse a model (`schema.ModelT`) with ops that a plain LiteRT runtime does not have.

    Raises:
        RunError: names them.
    """
    custom = sorted({bytes(code.customCode).decode() for code in model.operatorCodes if code.customCode})
    if custom:
        raise RunError(f"the file needs ops outside LiteRT: {', '.join(custom)}; change the network's layers")


def _read(path: Path) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
