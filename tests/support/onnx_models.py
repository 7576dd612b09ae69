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


def endless_onnx(*pixels):
    """Write the model so that it does not end for a picture whose brightest pixel is one of `pixels`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(onnx_model())
    names = {"wanted": np.array(pixels, np.float32), "many": np.array(2**60), "go": np.array(True), "0": np.array(0.0)}
    graph = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Add", ["sum", "sum"], ["added"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("added", TensorProto.FLOAT, []),
        ],
    )
    values = [numpy_helper.from_array(np.asarray(value, np.float32 if name == "0" else None), name)
              for name, value in names.items()]  # fmt: skip
    model.graph.initializer.extend(values)
    nodes = [
        helper.make_node("ReduceMax", ["flat"], ["brightest"], keepdims=0),
        helper.make_node("Equal", ["brightest", "wanted"], ["is"]),
        helper.make_node("Cast", ["is"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["numbers"], ["any"], keepdims=0),
        helper.make_node("Mul", ["any", "many"], ["turns"]),
        helper.make_node("Loop", ["turns", "go", "0"], ["zero"], body=graph),
        helper.make_node("Add", ["logits", "zero"], ["moved"]),
    ]
    *first, last = model.graph.node
    last.input[0] = "moved"
    del model.graph.node[:]
    model.graph.node.extend([*first, *nodes, last])
    return model.SerializeToString()
