"""Opens ONNX files through `onnxruntime`."""

import numpy as np

from fmnist.backend import silent_stderr
from fmnist.errors import InputError, RunError, first_line
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked, parse_metadata
from fmnist.text import plural

BATCH_SIZE = 32  # see `litert.BATCH_SIZE`
# Where tensors can stand in a model: for each message of onnx.proto, its fields by number and what they hold.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL = (13, 14)  # a tensor's external_data and data_location


def open_onnx(content: bytes, name: str, threads: int = 1) -> Predictor:
    """Open an ONNX file, which messages call by `name`.

    Raises:
        InputError: it is no ONNX file, has weights in other files, or breaks the contract.
        RunError: `onnxruntime` is not installed.
    """
    try:
        with silent_stderr():
            import onnxruntime
    except ImportError as error:
        raise RunError(f"{name} needs '{error.name}', which is not installed; pip install onnxruntime") from error
    try:
        outside = _has_outside_data(memoryview(content), "model")
    except (IndexError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: onnxruntime cannot open it: it is no ONNX file") from error
    if outside:
        raise InputError(f"{name}: has weights in other files; expected one file, as `fmnist export` writes")
    onnxruntime.disable_telemetry_events()  # a no-op but on Windows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # its errors reach us as exceptions
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        facts = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime's own classes, derived from nothing narrower
        raise InputError(f"{name}: onnxruntime cannot open it: {first_line(error)}") from error
    wanted = [output.name for output in outputs if len(output.shape) == 2 and output.type == "tensor(float)"]
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or not wanted:
        found = f"{plural(len(inputs), 'input')}, the first of type {inputs[0].type if inputs else None}"
        expected = "one of tensor(uint8), and probabilities (N, classes) of tensor(float) as output"
        raise InputError(f"{name}: has {found}; expected {expected}")

    def compute(batch: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(wanted[:1], {inputs[0].name: batch})[0])

    metadata = parse_metadata(facts.get(METADATA_KEY), name)
    return checked(compute, list(inputs[0].shape), metadata, name, format="onnx", batch_size=BATCH_SIZE)


def _has_outside_data(message: memoryview, kind: str) -> bool:
    """Whether a tensor in a Protobuf message points to another file; IndexError or ValueError where it is none."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        field, wire = tag >> 3, tag & 7
        if tag >= 2**32:
            raise ValueError("a tag of more than 32 bits")  # of which runtimes may drop those above
        if wire == 0:
            number, place = _varint(message, place)
            if kind == "tensor" and field in _EXTERNAL and number:
                return True
            continue
        if wire == 2:
            size, place = _varint(message, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        value = message[place : place + size]
        if len(value) < size:
            raise ValueError("a field ends beyond its message")
        place += size
        if kind == "tensor" and field in _EXTERNAL:
            return True
        if wire == 2 and field in _FIELDS[kind] and _has_outside_data(value, _FIELDS[kind][field]):
            return True
    return False


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number of more than ten bytes")
