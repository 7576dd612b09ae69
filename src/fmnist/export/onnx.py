"""Writes ONNX files: the conversion, the quantization, the check of their ops, and the facts inside.

The facts lie in `metadata_props` under the key `fmnist` (`predictor.METADATA_KEY`) as the text of one JSON object.
"""

import functools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fmnist.errors import RunError
from fmnist.export import network
from fmnist.predictor.predictor import METADATA_KEY

_OPSET = 15  # the lowest that has all we need: the most runtimes read it
# Ops that move values and do not change them.
_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Concat"}


def write(source: Path, path: Path, quantization: str, examples: np.ndarray) -> None:
    """Convert a `.keras` file.

    With `int8` it is quantized to 8 bits, in ranges measured with the examples, uint8 (N, H, W, C), and takes the
    pixels as they are. The softmax stays in float32.
    """
    if quantization == "int8":
        model, fed, scale = network.load_for_integers(source, examples)
    else:
        model = network.load(source)
    model(np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype))  # Keras exports what has been called
    model.export(str(path), format="onnx", verbose=False, opset_version=_OPSET)
    if quantization == "int8":
        _quantize(path, fed, scale)


def _quantize(path: Path, examples: np.ndarray, scale: float) -> None:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_symbolic_shape=True)
    graph = onnx.load(path).graph
    pixels, moves = _moved_pixels(graph)
    softmax = [node.name for node in graph.node if node.op_type == "Softmax"]
    # Asked again and again: all examples at once, then None.
    feeds = SimpleNamespace(get_next=functools.partial(next, iter([{graph.input[0].name: examples}]), None))
    pixel = {"scale": np.array(scale, np.float32), "zero_point": np.array(0, np.uint8)}
    quantize_static(
        path,
        path,
        feeds,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,  # 7 bits for weights: on processors without VNNI the sums of 8-bit products saturate
        nodes_to_exclude=moves + softmax,
        extra_options={"TensorQuantOverrides": {name: [pixel.copy()] for name in pixels}},
    )
    # What is quantized first are the pixels, with a step of one pixel value: the pixels themselves will do.
    model = onnx.load(path)
    graph = model.graph
    first = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in pixels]
    names = {node.output[0]: node.input[0] for node in first}
    if set(names.values()) != pixels:
        raise RunError("the pixels do not come to the first arithmetic as they are; whole numbers need that")
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    for node in first:
        graph.node.remove(node)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]  # said what was float
    onnx.save(model, path)


def _moved_pixels(graph: Any) -> tuple[set[str], list[str]]:
    """Return the names that the input has where arithmetic meets it, in its final shapes, and those of the moves."""
    pixels, moves, names = set(), [], {graph.input[0].name}
    for node in graph.node:  # each stands behind those that feed it
        if met := names.intersection(node.input):
            if node.op_type in _MOVES:
                moves.append(node.name)
                names.update(node.output)
            else:
                pixels |= met
    return pixels, moves


def embed(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts into a file, name its input and output after them, and check it."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in graph.node if node.domain not in ("", "ai.onnx")})
    if foreign:
        raise RunError(f"the file needs ops outside the ONNX standard: {', '.join(foreign)}")
    names = {graph.input[0].name: facts["input"]["name"], graph.output[0].name: facts["output"]["name"]}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.producer_name, model.producer_version = "fmnist", str(facts["fmnist"])
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(facts)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
