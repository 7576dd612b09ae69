"""Answers for a model that MLflow keeps: the function that MLflow looks for when it loads one. Knows no MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmnist.predictor.opening import open_model

if TYPE_CHECKING:
    import numpy as np


class _Served:
    """A model with the method `predict` that MLflow calls."""

    def __init__(self, path: str) -> None:
        self._predictor = open_model(path)

    def predict(self, images: Any, params: Any = None) -> np.ndarray:
        """Return probabilities, float32 (N, classes), for images, uint8 (N, H, W, C)."""
        if isinstance(images, dict):  # MLflow gives a named input with its name
            (images,) = images.values()
        return self._predictor.probabilities(images)


def _load_pyfunc(path: str) -> _Served:
    return _Served(path)
