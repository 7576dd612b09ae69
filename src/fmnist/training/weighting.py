"""Weighs training images in the loss: by how rare their class is, and as the data set says."""

from typing import Any

import keras
import numpy as np
from keras import ops

from fmnist.evaluation.metrics import uneven
from fmnist.training.distillation import Targets


def class_weights(mode: str, labels: np.ndarray) -> np.ndarray | None:
    """Return what an image of each class weighs, float32 (largest label + 1,); None where all images weigh the same.

    The weight is inverse to the number of the class's images, and the mean over all images is 1.
    Source: G. King and L. Zeng, "Logistic regression in rare events data", Political Analysis 9 (2001).

    Args:
        mode: `balanced`; `auto`, which is balanced where `uneven` says so; or `none`.
        labels: integer (N,), of the training images.
    """
    counts = np.bincount(labels)
    if mode == "none" or (mode == "auto" and not uneven(counts)):
        return None
    weights: np.ndarray = (len(labels) / np.maximum(counts, 1) / np.count_nonzero(counts)).astype(np.float32)
    return weights


def sentence(mode: str, labels: np.ndarray) -> str:
    """Say that and why images weigh more or less; nothing where all weigh the same."""
    if class_weights(mode, labels) is None:
        return ""
    counts = np.bincount(labels)
    few, most = counts[counts > 0].min(), counts.max()
    told = f"The classes have {few:,} to {most:,} training images, and count the same in the loss"
    return f"{told}; with `class_weights='none'` the images do"


class WeightedLoss(keras.losses.Loss):
    """Another loss, in which an image weighs as much as the labels in its row add up to."""

    def __init__(self, loss: keras.losses.Loss) -> None:
        """Take the loss of rows whose labels add up to 1."""
        super().__init__(name="weighted")
        self.loss = loss

    def call(self, wanted: Any, logits: Any) -> Any:
        """Return the loss of each image, float32 (N,), of float32 (N, classes or more) and logits (N, classes)."""
        weights = ops.sum(wanted[:, : logits.shape[-1]], axis=-1)
        return weights * self.loss.call(wanted / weights[:, None], logits)


def image_weights(mode: str, labels: np.ndarray, own: np.ndarray | None = None) -> np.ndarray | None:
    """Return what each training image weighs, float32 (N,), its class's weight times its own; None where all the same.

    Args:
        mode: as `class_weights` has it.
        labels: integer (N,), of the training images.
        own: float32 (N,), above 0, of the data set; their mean is made 1.
    """
    of_classes = class_weights(mode, labels)
    weights = None if of_classes is None else of_classes[labels]
    if own is None:
        return weights
    own = own / own.mean()
    return own if weights is None else own * weights


def weighted(
    targets: Targets, loss: keras.losses.Loss, weights: np.ndarray | None
) -> tuple[Targets, keras.losses.Loss]:
    """Return targets and loss for images of these weights, float32 (N,); both as they are where all weigh the same.

    The weights travel in the targets, so that they are mixed where images are.
    """
    if weights is None:
        return targets, loss
    column = weights[:, None]
    mirrored = targets.mirrored if targets.mirrored is None else targets.mirrored * column
    return Targets(targets.rows * column, mirrored), WeightedLoss(loss)
