"""Learning from a teacher's answers beside the labels: the loss, and what the teacher says of each training image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from fmnist.calibration import at_temperature
from fmnist.config import Config


class DistillationLoss(keras.losses.Loss):
    """(1 − w) × cross-entropy with the labels + w × T² × Kullback–Leibler divergence from the teacher, both at T.

    What is wanted stands in one row: the labels, then the teacher's probabilities at temperature T.
    Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
    """

    def __init__(self, weight: float, temperature: float, label_smoothing: float) -> None:
        """Take w (0 to 1), T, and the share of each label that is spread over all classes."""
        super().__init__(name="distillation")
        self.weight, self.temperature, self.label_smoothing = weight, temperature, label_smoothing

    def call(self, wanted: Any, logits: Any) -> Any:
        """Return the loss of each image, float32 (N,), of float32 (N, 2 × classes) and logits (N, classes)."""
        classes = logits.shape[-1]
        labels, teacher = wanted[:, :classes], wanted[:, classes:]
        entropy = keras.losses.categorical_crossentropy(
            labels, logits, from_logits=True, label_smoothing=self.label_smoothing
        )
        # 0 × log 0 is 0.
        known = ops.log(ops.maximum(teacher, np.finfo(np.float32).tiny))
        divergence = ops.sum(teacher * (known - ops.log_softmax(logits / self.temperature)), axis=-1)
        return (1 - self.weight) * entropy + self.weight * self.temperature**2 * divergence


def loss(config: Config) -> keras.losses.Loss:
    """Return the loss that a recipe minimises: cross-entropy with the labels, a teacher's part if there is one."""
    smoothing, settings = config.training.label_smoothing, config.distillation
    if settings.teacher is None:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    return DistillationLoss(settings.distillation_weight, settings.distillation_temperature, smoothing)


def answers(probabilities: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Split a teacher's probabilities, float32 (2 × N, classes), in those of the images and of their mirror images.

    Returns:
        Each float32 (N, classes), at the temperature.
    """
    images, mirrored = np.split(at_temperature(probabilities, temperature), 2)
    return images, mirrored
