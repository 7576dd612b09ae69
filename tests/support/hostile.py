"""LiteRT and ONNX files made to do harm, and formats that are never opened; the Keras files are in `hostile_keras`."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from support.hostile_keras import CLASSES, SHAPE, Pickled, hdf5


def other_formats() -> Iterator[tuple[str, str, bytes]]:
    """Yield what it is, suffix and bytes of formats that are never opened."""
    for suffix in (".h5", ".hdf5"):
        yield f"{suffix} of Keras", suffix, hdf5(lambda content: content.attrs.__setitem__("model_config", "{}"))
    for suffix in (".pkl", ".pickle", ".pt", ".pth"):
        yield f"pickle named {suffix}", suffix, pickle.dumps(Pickled())


def onnx_files(outside: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of hostile `.onnx` files; `outside` holds the weights that some of them point to."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.repeat(np.eye(CLASSES, dtype=np.float32), 8, axis=0)
    outside.write_bytes(weights.tobytes())

    def external(place: str):
        tensor = numpy_helper.from_array(weights, "weights")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        tensor.external_data.add(key="length", value=str(weights.nbytes))
        return tensor

    def model(tensors=None, nodes=(), opsets=()) -> bytes:
        steps = [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["float"], ["flat"]),
            *nodes,
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ]
        graph = helper.make_graph(
            steps,
            "hostile",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *SHAPE, 1])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
            [numpy_helper.from_array(weights, "weights")] if tensors is None else tensors,
        )
        sets = [helper.make_opsetid("", 13), *opsets]
        return helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()

    relative = os.path.relpath(outside, Path.cwd())
    constant = helper.make_node("Constant", [], ["weights"])
    constant.attribute.append(helper.make_attribute("value", external(str(outside))))
    size = helper.make_node("Constant", [], ["size"], value=numpy_helper.from_array(np.array([2**40]), "v"))
    huge = [
        size,
        helper.make_node("ConstantOfShape", ["size"], ["unused"]),
        helper.make_node("ReduceSum", ["unused"], ["s"]),
    ]
    huge.append(helper.make_node("Add", ["weights0", "s"], ["weights"]))
    yield "weights at an absolute path", model([external(str(outside))])
    yield "weights at a path upwards", model([external(relative)])
    yield "weights beside it", model([external(outside.name)])
    yield "weights elsewhere, in a node", model([], [constant])
    yield (
        "operator of its own",
        model(
            nodes=[helper.make_node("Evil", ["flat"], ["x"], domain="evil")], opsets=[helper.make_opsetid("evil", 1)]
        ),
    )
    yield "huge tensor", model([numpy_helper.from_array(weights, "weights0")], huge)
    yield "cut short", model()[:150]
    yield "weights elsewhere, behind a tag of more than 32 bits", _with_wide_tags(model([external(str(outside))]))
    yield "pickle named .onnx", pickle.dumps(Pickled())


def _with_wide_tags(content: bytes) -> bytes:
    """Write the tag of the model's graph, 7, with a bit above those that a tag may have."""
    at = content.index(b"\x3a", 2)
    return content[:at] + b"\xba\x80\x80\x80\x80\x01" + content[at + 1 :]


def litert_files() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of hostile `.tflite` files."""
    import tensorflow as tf

    def converted(**settings) -> bytes:
        @tf.function(input_signature=[tf.TensorSpec((1, *SHAPE, 1), tf.uint8)])
        def network(image):
            flat = tf.reshape(tf.cast(image, tf.float32) / 256 + 0.1, (1, SHAPE[0] * SHAPE[1]))[:, :CLASSES]
            if settings:  # an operator that LiteRT does not have
                flat = tf.raw_ops.Betainc(a=flat, b=flat, x=flat)
            return tf.nn.softmax(flat)

        converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
        for name, value in settings.items():
            setattr(converter, name, value)
        return converter.convert()

    whole = converted()
    wild = bytearray(whole)
    for place in range(0x40, len(wild) - 4, 64):
        wild[place : place + 4] = b"\xff\xff\xff\x7f"
    yield "cut short", whole[: len(whole) // 3]
    yield "offsets beyond the file", bytes(wild)
    yield "operator of its own", converted(allow_custom_ops=True)
    yield "weights in another file", _with_outside_buffers(whole)
    yield "pickle named .tflite", pickle.dumps(Pickled())


def _with_outside_buffers(content: bytes) -> bytes:
    """Write the model again with a group of buffers that lie in a file named /etc/passwd."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(content), 0))
    group = schema.ExternalBufferGroupT()
    group.name = "/etc/passwd"
    model.externalBufferGroups = [group]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
