"""Lets a network learn from a teacher's answers beside the labels: the targets, the loss, the teacher itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from fmnist.config import Config
from fmnist.data import shape
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.errors import InputError
from fmnist.evaluation.calibration import at_temperature
from fmnist.predictor.keras_file import open_keras
from fmnist.run import results
from fmnist.run.directory import RunDirectory, find_run_or_file, read_json, sha256
from fmnist.training import cached_outputs
from fmnist.training.progress import Watcher

# Images on which a teacher shows whether it tells one from its mirror image.
_FEW = 100


class Targets(NamedTuple):
    """What the network is to answer for the training images, in their order: labels, and behind them a teacher's."""

    rows: np.ndarray  # float32 (N, classes), or with a teacher (N, 2 × classes)
    mirrored: np.ndarray | None = None  # the same for their mirror images, where those have others


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


def images_to_ask_for(images: np.ndarray, teacher: Callable[[np.ndarray], np.ndarray], *, mirrored: bool) -> np.ndarray:
    """Return the training images, uint8 (N, H, W, C), and behind them their mirror images where the network sees such.

    A teacher that averages over flips says the same of both, to the bit; then the images alone.
    """
    few = images[:_FEW]
    if not mirrored or np.array_equal(teacher(few), teacher(few[:, :, ::-1])):
        return images
    return np.concatenate([images, images[:, :, ::-1]])


def targets(
    labels: np.ndarray,
    images: np.ndarray,
    teacher: Callable[[np.ndarray], np.ndarray] | None,
    config: Config,
    run: RunDirectory,
    watcher: Watcher,
    should_stop: Callable[[], bool],
) -> Targets:
    """Return what the network is to give for each training image; a teacher is asked for each image once.

    Args:
        labels: one-hot, float32 (N, classes).
        images: uint8 (N, H, W, C).
        teacher: from images to probabilities, float32 (N, classes); its answers are kept in the run until it ends.

    Raises:
        Interrupted: `should_stop` said so.
    """
    if teacher is None:
        return Targets(labels)
    watcher.note("The teacher answers for each training image, once")
    asked = images_to_ask_for(images, teacher, mirrored=config.augmentation.flip)
    answers = cached_outputs.kept(run.teacher, teacher, asked, labels.shape[1:], should_stop)
    answers = at_temperature(answers, config.distillation.distillation_temperature)
    rows, mirrored = (
        np.concatenate([labels, part], axis=1) for part in (answers[: len(labels)], answers[-len(labels) :])
    )
    return Targets(rows, mirrored)


class Teacher:
    """The model that a network learns from: what it answers, and what a run records of it."""

    def __init__(self, config: Config, dataset: Dataset) -> None:
        """Open it as a file from anybody is opened.

        Raises:
            InputError: there is no such run or file, it has no model yet, or it answers about something else.
        """
        name = str(config.distillation.teacher)
        found = find_run_or_file(name)
        run = None if isinstance(found, Path) else found
        path = found if isinstance(found, Path) else found.need(found.model, "train --resume")
        if not path.is_file():
            raise InputError(f"teacher: there is no file {name}; expected a run, or a .keras file")
        expected = list(dataset.class_names)
        if run and (known := read_json(run.config)["dataset"]["class_names"]) != expected:
            raise InputError(f"teacher: {name} knows the classes {', '.join(known)}; expected {', '.join(expected)}")
        model = open_keras(path)
        answers = model.image_shape, len(model.class_names)
        wanted = dataset.image_shape, dataset.num_classes
        if answers != wanted:
            raise InputError(
                f"teacher: {name} takes images of {shape.told(answers[0])} and knows {answers[1]} classes; "
                f"expected {shape.told(wanted[0])} and {wanted[1]}; take one that was trained on the same data"
            )
        self.probabilities = model.probabilities
        self.num_seen = _num_seen(run, config, dataset) if run else 0
        self.facts = {"run": run.name if run else None, "sha256": sha256(path)}


def _num_seen(teacher: RunDirectory, config: Config, dataset: Dataset) -> int:
    """Return how many of a run's validation images its teacher learnt from; 0 where that was on other data."""
    if not results.trained_on(results.environment(teacher), dataset.sha256):
        return 0
    learnt, _ = run_split(read_json(teacher.config), dataset.train_labels, dataset.num_validation)
    _, validation = run_split(config.to_dict(), dataset.train_labels, dataset.num_validation)
    return len(np.intersect1d(learnt, validation))
