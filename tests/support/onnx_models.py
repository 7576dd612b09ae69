"""An ONNX model of a few numbers, whose answers can be worked out by hand."""

import json

import numpy as np

NAMES = ("left", "middle", "right")
SHAPE = (4, 6)
# A class for each third of the picture: its logit is the sum of the third's pixels, scaled to 0..1.
WEIGHTS = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)[np.tile(np.arange(6), 4)]
IMAGES = np.random.default_rng(0).integers(0, 256, (70, *SHAPE), dtype=np.uint8)


def onnx_model(batch="N", facts=None, kind="uint8", activation="Softmax"):
    from onnx import TensorProto, helper, numpy_helper

    element = getattr(TensorProto, kind.upper())
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node(activation, ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "thirds",
        [helper.make_tensor_value_info("image", element, [batch, *SHAPE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(WEIGHTS / np.float32(255), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if facts is not None:
        helper.set_model_props(model, {"fmnist": facts if isinstance(facts, str) else json.dumps(facts)})
    return model.SerializeToString()
