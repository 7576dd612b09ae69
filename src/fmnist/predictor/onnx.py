"""ONNX files through `onnxruntime`."""

from __future__ import annotations

import numpy as np

from fmnist.engine import silent_stderr
from fmnist.environment import cores
from fmnist.errors import InputError, RunError
from fmnist.predictor.predictor import METADATA_KEY, Predictor, checked, first_line, parse_metadata

# See `litert.BATCH_SIZE`.
BATCH_SIZE = 32


def open_onnx(content: bytes, name: str, threads: int | None = None) -> Predictor:
    """Open an ONNX file.

    Args:
        content: its bytes; weights in other files are not looked for.
        name: what messages call it.
        threads: of the arithmetic; by default as many as there are cores, 8 at most.

    Raises:
        InputError: it is no ONNX file, or breaks the contract.
        RunError: `onnxruntime` is not installed.
    """
    try:
        with silent_stderr():
            import onnxruntime
    except ImportError as error:
        raise RunError(f"{name} needs '{error.name}', which is not installed; pip install onnxruntime") from error
    onnxruntime.disable_telemetry_events()  # a no-op but on Windows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(cores(), 8)
    options.log_severity_level = 4  # its errors reach us as exceptions
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        facts = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime's own classes, derived from nothing narrower
        raise InputError(f"{name}: onnxruntime cannot open it: {first_line(error)}") from error
    wanted = [output.name for output in outputs if len(output.shape) == 2 and output.type == "tensor(float)"]
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or not wanted:
        raise InputError(
            f"{name}: has {len(inputs)} input(s), the first of type {inputs[0].type if inputs else None}; "
            "expected one of tensor(uint8), and probabilities (N, classes) of tensor(float) as output"
        )
    into = inputs[0].name

    def compute(batch: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(wanted[:1], {into: batch})[0])

    metadata = parse_metadata(facts.get(METADATA_KEY), name)
    return checked(compute, list(inputs[0].shape), metadata, name, format="onnx", batch_size=BATCH_SIZE)
