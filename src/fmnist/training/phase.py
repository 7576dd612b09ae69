"""A part of a run: which network is trained in it, on what input, and how fast. Everything else is the recipe's.

A run has one stage, the whole network on images, or before it another: the last layer on features that the rest of the
network computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from fmnist import backend
from fmnist.config import FAMILIES, AugmentationConfig, Config
from fmnist.data import Dataset, split_indices
from fmnist.evaluation import metrics
from fmnist.models import head
from fmnist.run.directory import RunDirectory
from fmnist.run.history import TRAIN_SAMPLE
from fmnist.training import augmentation, cached_outputs, distillation, optimizers


@dataclass(frozen=True)
class Examples:
    """Images, uint8 (N, H, W), or features, float32 (N, features), with labels, integer (N,): to train and validate."""

    train: np.ndarray
    train_labels: np.ndarray
    val: np.ndarray
    val_labels: np.ndarray


def split(config: Config, dataset: Dataset) -> Examples:
    """Split the training images, or the first of them, in those to learn from and those to validate on."""
    images, labels = dataset.train_images[: config.data.limit], dataset.train_labels[: config.data.limit]
    train, val = split_indices(labels, config.data.validation_fraction, config.training.seed)
    return Examples(images[train], labels[train], images[val], labels[val])


class Stage:
    """A network being trained on examples, from epoch `first` on."""

    def __init__(
        self,
        model: keras.Model,
        final: keras.Model,
        examples: Examples,
        config: Config,
        first: int,
    ) -> None:
        """Prepare; nothing is traced before the first step.

        Args:
            model: gives logits; it is what is trained.
            final: gives probabilities; it is what is measured.
            examples: what both take.
            config: optimizer, rates, loss, batch size, seed, and what happens to the training images.
            first: epochs of the run before this stage.
        """
        recipe = config.training
        self.model, self.final, self.examples, self.recipe, self.first = model, final, examples, recipe, first
        self.optimizer = optimizers.build(recipe)
        rows = 2 if config.distillation.teacher else 1
        self._steps = backend.Steps(model, self.optimizer, distillation.loss(config), recipe.batch_size, rows)
        self.epochs = augmentation.Epochs(examples.train, config.augmentation, recipe.seed)
        self._predict = backend.Predictor(final)
        # Of the weights, float32; empty where the last ones count.
        self.average = [np.array(weight) for weight in model.get_weights()] if recipe.ema_decay else []
        count = len(examples.train)
        self._sample = np.sort(np.random.default_rng(recipe.seed).permutation(count)[:TRAIN_SAMPLE])

    def num_trained(self) -> int:
        """Return the number of weights that training changes."""
        return sum(math.prod(variable.shape) for variable in self.model.trainable_variables)

    def advance(self, images: np.ndarray, targets: np.ndarray, done: int) -> dict[str, float]:
        """Take the next steps; return running loss and accuracy as `engine.Steps` does.

        Args:
            images: uint8 (N, H, W), or features, float32 (N, features).
            targets: float32 (N, classes), as many rows; with a teacher (N, 2 × classes), its answers behind the labels.
            done: steps of the run when these are done.
        """
        result = self._steps(images, targets)
        if self.average:
            steps = math.ceil(len(images) / self.recipe.batch_size)
            follow_average(self.average, self.model.get_weights(), self.recipe.ema_decay, steps, done)
        return result

    def finish(self) -> None:
        """Give the network that is measured and saved its weights: the average's, or those of the one in training."""
        self.final.set_weights(self.average or self.model.get_weights())

    def measure(self) -> dict[str, float]:
        """Return loss and accuracy in inference mode on a fixed sample of the training examples and on validation."""
        self.finish()
        sample, labels = self._sample, self.examples.train_labels
        probabilities = self._predict(np.concatenate([self.examples.train[sample], self.examples.val]))
        parts = {"train": (probabilities[: len(sample)], labels[sample])}
        if len(self.examples.val):
            parts["val"] = (probabilities[len(sample) :], self.examples.val_labels)
        return {
            f"{part}_{name}": score(*pair)
            for part, pair in parts.items()
            for name, score in (("loss", metrics.cross_entropy), ("accuracy", metrics.accuracy))
        }


def follow_average(
    average: Sequence[np.ndarray], weights: Sequence[np.ndarray], decay: float, steps: int, done: int
) -> None:
    """Move an exponential moving average, in place, to where some steps with the same weights would have brought it.

    Called once a segment, not once a step: the weights within the segment are left out. The averages of batch
    normalisation are weights here as well, so that they belong to the average network.
    Source: B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", 1992, for
    averages; M. Tan and Q. V. Le, "EfficientNet", 2019, for exponential ones.

    Args:
        average: float32 arrays.
        weights: those of the network now, in the same order and shapes.
        decay: of a step, 0 to 1; smaller in the first steps, so that the fresh weights are soon forgotten.
        steps: how many were taken since the last call.
        done: steps of the run up to now.
    """
    kept = np.float32(min(decay, (1 + done) / (10 + done)) ** steps)
    for mean, array in zip(average, weights, strict=True):
        mean *= kept
        mean += (1 - kept) * array


def whole(model: keras.Model, final: keras.Model, examples: Examples, config: Config) -> Stage:
    """Return the stage in which the network is trained on images, or of a pre-trained one what is not kept."""
    if config.pretrained() and FAMILIES[config.model.family].pretrained:
        head.freeze(model, config.transfer.fine_tuned_blocks)
    return Stage(model, final, examples, config, config.transfer.frozen_epochs)


def last_layer(
    model: keras.Model,
    final: keras.Model,
    examples: Examples,
    config: Config,
    run: RunDirectory,
    should_stop: Callable[[], bool],
) -> Stage | None:
    """Return the stage in which the last layer is trained on features, which are computed, or read if they were.

    Args:
        model: the network in training.
        final: the network that is saved, with the same weights.
        examples: images and labels.
        config: of the run.
        run: where the features are kept until no epoch needs them.
        should_stop: asked now and then; None comes back if it says True.
    """
    backbone, final_layer = head.split(final)
    images = np.concatenate([examples.train, examples.val])
    features = cached_outputs.kept(
        run.features, backend.Predictor(backbone), images, backbone.output_shape[1:], should_stop
    )
    if features is None:
        return None
    count = len(examples.train)
    known = replace(examples, train=features[:count], val=features[count:])
    rate = config.transfer.head_learning_rate
    recipe = replace(config.training, learning_rate=rate, adam_learning_rate=rate, schedule="constant")
    plain = replace(config, training=recipe, augmentation=AugmentationConfig())
    return Stage(head.split(model)[1], final_layer, known, plain, 0)
