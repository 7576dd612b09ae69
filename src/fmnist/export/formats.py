"""The formats that `fmnist export` writes, a row a format. No other file names them; nothing heavy is loaded here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Limits:
    """What a format may lose against Keras, on the whole test set; None is no limit."""

    difference: float | None = None  # largest difference of any probability of any image
    # Smallest share (0 to 1) of the images with the same top class. Where only `difference` is bound, top classes can
    # differ where Keras's own best two are no further apart than twice that.
    agreement: float | None = None
    loss: float | None = None  # largest loss of accuracy (0.003 is 0.3 points)


EXACT = Limits(difference=1e-4)
HALF = Limits(difference=2e-2, agreement=0.999)
INTEGER = Limits(loss=0.003)


@dataclass(frozen=True)
class Format:
    """A format: what makes its file, what that is for, and what it may lose."""

    name: str  # what `--format` calls it
    file: str  # the file, or the folder, in `exports/`
    purpose: str
    limits: Limits  # what its gate allows
    # Has functions, which run in a child process: `write(source, path, quantization, examples)` makes the file from a
    # `.keras` file and training images, uint8 (N, H, W, C); `embed(path, facts)` puts the facts inside;
    # `open_file(path)`, where `fmnist.open_model` doesn't open it, returns a function from images, uint8 (N, H, W, C),
    # to probabilities, float32 (N, classes).
    module: str
    quantization: str = ""  # what `write` is to do to the numbers: `int8`, `float16`, or nothing
    # What `write` needs beyond TensorFlow, by import name; `pip install 'fmnist[export]'` brings it.
    packages: tuple[str, ...] = ()
    default: bool = False  # whether it is written where no format is asked for
    model: str = ""  # where in a folder the model's own file lies; empty where file or folder are the model itself
    # `module:function` that gets the run, the archive of `--web-runtime` and a `note`, fetches what else the folder
    # needs before anything is made, and returns a function (folder, facts) that completes the folder.
    finish: str = ""
    measured: bool = True  # whether `fmnist benchmark` measures it
    hint: str = ""  # what the command line says once it is written, with `{path}` for the quoted path


_LITERT, _ONNX, _ONNX_PACKAGES = "fmnist.export.litert", "fmnist.export.onnx", ("onnx", "tf2onnx")
_SMALL = "the same in whole numbers, a quarter of the size"
_TRY_WEB = """To try the page at http://127.0.0.1:8000, which browsers trust like https:
  python -m http.server --bind 127.0.0.1 --directory {path}"""
_PUSH_HUB = """To push it to the Hub, once you have read its README.md and are logged in there:
  hf upload OWNER/NAME {path}"""
# fmt: off
_ROWS = (
    Format("litert", "model.tflite", "phones and small computers, float32", EXACT, _LITERT, default=True),
    Format("litert-int8", "model-int8.tflite", _SMALL, INTEGER, _LITERT, "int8", default=True),
    Format("litert-fp16", "model-fp16.tflite", "the same with weights of 16 bits, half the size", HALF,
           _LITERT, "float16", default=True),
    Format("onnx", "model.onnx", "servers and browsers, float32", EXACT, _ONNX, "", _ONNX_PACKAGES, default=True),
    Format("onnx-int8", "model-int8.onnx", _SMALL, INTEGER, _ONNX, "int8", _ONNX_PACKAGES),
    Format("keras", "model.keras", "Keras, on any backend", EXACT, "fmnist.export.keras"),
    Format("savedmodel", "savedmodel", "TensorFlow and TensorFlow Serving: a folder", EXACT,
           "fmnist.export.savedmodel"),
    Format("web", "web", "a page that answers on the phone itself, offline: a folder", EXACT, _ONNX, "", _ONNX_PACKAGES,
           model="model.onnx", finish="fmnist.export.site:prepare", measured=False, hint=_TRY_WEB),
    Format("hub", "hub", "the Hugging Face Hub: a folder with a model card, ready to be pushed", EXACT, _LITERT, "",
           ("huggingface_hub",), model="model.tflite", finish="fmnist.export.hub:prepare", measured=False,
           hint=_PUSH_HUB),
)
# fmt: on
FORMATS = {row.name: row for row in _ROWS}
DEFAULT_FORMATS = tuple(row.name for row in _ROWS if row.default)


def outdated(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the formats, of the rows that `results.exported_files` gives, that were exported after the benchmark."""
    return [row["format"] for row in rows if row.get("older") and FORMATS[row["format"]].measured]


def check_formats(names: tuple[str, ...]) -> None:
    """Raise `InputError`, which names the formats that there are, for what is none."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        hint = did_you_mean(unknown[0], [*FORMATS]) if unknown else ""
        raise InputError(f"got the formats '{','.join(unknown)}'{hint}; expected some of {', '.join(FORMATS)}")
