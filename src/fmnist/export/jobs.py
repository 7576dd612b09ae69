"""What an export does in child processes: converts a network to a format, and asks a file for its probabilities."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import RunError
from fmnist.evaluation import metrics
from fmnist.export.formats import FORMATS
from fmnist.predictor import open_model


def convert(
    *, source: str, target: str, facts: dict[str, Any], examples: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write one exported file, in the form of `process.call`.

    Args:
        source: a `.keras` file.
        target: the path to write; for a SavedModel a folder.
        facts: what the file says of itself, `format` among it; its accuracy is measured here and added.
        examples: training images, uint8 (N, H, W), for the ranges of integer arithmetic.
        images: test images, uint8 (N, H, W).
        labels: integer (N,).

    Raises:
        RunError: the network cannot be converted to this format, or a converter is not installed.
    """
    form, path = FORMATS[facts["format"]], Path(target)
    for package in form.packages:
        if importlib.util.find_spec(package) is None:
            raise RunError(f"'{package}' is not installed; install it with: pip install 'fmnist[export]'")
    module = importlib.import_module(form.module)
    module.write(Path(source), path, form.quantization, examples)
    accuracy = metrics.accuracy(open_file(target, facts["format"])(images), labels)
    module.embed(path, facts | {"accuracy": accuracy})
    return {"accuracy": accuracy}, {}


def open_file(path: str, format: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from images, uint8 (N, H, W), to probabilities, float32 (N, classes); for our own processes.

    Raises:
        InputError: the file is damaged or breaks the contract.
        RunError: the runtime that it needs is not installed.
    """
    module = importlib.import_module(FORMATS[format].module)
    return getattr(module, "open_file", _open_model)(Path(path))


def _open_model(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    return open_model(path).probabilities


def answer(*, path: str, format: str, images: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a file's probabilities for images, in the form of `process.call`."""
    return {}, {"probabilities": open_file(path, format)(images)}
