"""What an export does in child processes: converts a network to a format, and asks a file for its probabilities."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import RunError
from fmnist.evaluation import metrics
from fmnist.export.formats import FORMATS
from fmnist.predictor.opening import open_model
from fmnist.predictor.process import Answer


def convert(
    *, source: str, target: str, facts: dict[str, Any], examples: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> Answer:
    """Write one exported file from a `.keras` file.

    The facts are what the file says of itself, `format` among it; its accuracy on the test images, uint8 (N, H, W, C),
    is added here. The examples are training images, for the ranges of integer arithmetic.
    """
    form, path = FORMATS[facts["format"]], Path(target)
    for package in form.packages:
        if importlib.util.find_spec(package) is None:
            raise RunError(f"'{package}' is not installed; install it with: pip install 'fmnist[export]'")
    module = importlib.import_module(form.module)
    module.write(Path(source), path, form.quantization, examples)
    accuracy = metrics.accuracy(open_file(target, facts["format"])(images), labels)
    module.embed(path, facts | {"accuracy": accuracy})
    return {}, {}


def open_file(path: str, format: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from images, uint8 (N, H, W, C), to probabilities, float32 (N, classes), of a file of ours."""
    module = importlib.import_module(FORMATS[format].module)
    return module.open_file(Path(path)) if hasattr(module, "open_file") else open_model(path).probabilities


def answer(*, path: str, format: str, images: np.ndarray) -> Answer:
    """Return a file's probabilities for images."""
    return {}, {"probabilities": open_file(path, format)(images)}
