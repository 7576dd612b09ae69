"""The formats that `fmnist export` writes: one table."""

from __future__ import annotations

from dataclasses import dataclass

from fmnist.errors import InputError, did_you_mean
from fmnist.export.gate import EXACT, HALF, INTEGER, Limits


@dataclass(frozen=True)
class Format:
    """A format: its name, the file (or folder) in `exports/`, what it is for, and what its gate allows.

    Attributes:
        model: where in a folder the model's own file lies; empty where file or folder are the model itself.
    """

    name: str
    file: str
    purpose: str
    limits: Limits
    model: str = ""


FORMATS = {
    row.name: row
    for row in (
        Format("litert", "model.tflite", "phones and small computers, float32", EXACT),
        Format("litert-int8", "model-int8.tflite", "the same in whole numbers, a quarter of the size", INTEGER),
        Format("litert-fp16", "model-fp16.tflite", "the same with weights of 16 bits, half the size", HALF),
        Format("onnx", "model.onnx", "servers and browsers, float32", EXACT),
        Format("onnx-int8", "model-int8.onnx", "the same in whole numbers, a quarter of the size", INTEGER),
        Format("keras", "model.keras", "Keras, on any backend", EXACT),
        Format("savedmodel", "savedmodel", "TensorFlow and TensorFlow Serving: a folder", EXACT),
        Format("web", "web", "a page that answers on the phone itself, offline: a folder", EXACT, "model.onnx"),
    )
}
DEFAULT_FORMATS = ("litert", "litert-int8", "litert-fp16", "onnx")


def check_formats(names: tuple[str, ...]) -> None:
    """Refuse what is no format.

    Raises:
        InputError: names the formats that there are.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        hint = did_you_mean(unknown[0], [*FORMATS]) if unknown else ""
        raise InputError(f"got the format(s) '{','.join(unknown)}'{hint}; expected some of {', '.join(FORMATS)}")
