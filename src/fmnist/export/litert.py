"""Writes LiteRT files: the conversion, the check of their ops, and the facts inside.

The facts lie in the metadata buffer named `fmnist` (`predictor.METADATA_KEY`) as the UTF-8 text of one JSON object.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fmnist.errors import RunError
from fmnist.export import network
from fmnist.predictor.predictor import METADATA_KEY


def write(source: Path, path: Path, quantization: str, examples: np.ndarray) -> None:
    """Convert a `.keras` file.

    `float16` keeps the weights in that. With `int8` all arithmetic is of integers, in ranges measured with the
    examples, uint8 (N, H, W, C); the input is the pixels as they are, and the softmax gives steps of 1/256, as float32.
    """
    integers = quantization == "int8"
    if integers:
        model, fed, scale = network.load_for_integers(source, examples)
    else:
        model = network.load(source)
    import tensorflow as tf

    # Keras would allow Flex ops, which need TensorFlow inside the runtime.
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if integers else tf.lite.OpsSet.TFLITE_BUILTINS
    options: dict[str, Any] = {"target_spec": {"supported_ops": [builtins]}}
    if quantization:
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if integers:
        options |= {"inference_input_type": tf.uint8, "representative_dataset": lambda: _one_by_one(fed, scale)}
    if quantization == "float16":
        options["target_spec"]["supported_types"] = [tf.float16]
    try:
        model.export(str(path), format="litert", verbose=False, **options)
    except Exception as error:
        if "flex" in str(error).lower():
            raise RunError("the network has layers that LiteRT's own ops cannot compute; change the network") from error
        raise
    if integers:
        graph = _read(path).subgraphs[0]
        step = graph.tensors[graph.inputs[0]].quantization
        found = (float(step.scale[0]), int(step.zeroPoint[0]))
        if found != (float(np.float32(scale)), 0):
            raise RunError(f"the input came out with scale and zero point {found}; expected {(scale, 0)}")


def _one_by_one(examples: np.ndarray, scale: float) -> Iterator[list[np.ndarray]]:
    """Yield batches of one, and one more picture that holds both ends of the range: the input's scale hangs on them."""
    ends = examples[0].copy()
    ends.flat[:2] = 0, 255 * scale
    for example in (*examples, ends):
        yield [example[np.newaxis]]


def embed(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts into a file, name its input and output after them, and check its ops."""
    from ai_edge_litert.tools.flatbuffer_utils import write_model

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
    write_model(model, path)


def check_ops(model: Any) -> None:
    """Refuse a model (`schema.ModelT`) with custom (Flex) ops, which a plain LiteRT runtime does not have."""
    custom = sorted({bytes(code.customCode).decode() for code in model.operatorCodes if code.customCode})
    if custom:
        raise RunError(f"the file needs ops outside LiteRT: {', '.join(custom)}; change the network's layers")


def _read(path: Path) -> Any:
    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
