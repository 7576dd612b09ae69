"""Trains one phase of a run: a network, its input and targets, its optimizer and learning rate, its averaged weights.

A run has one phase, the whole network on images, or before it another: the last layer on features that the rest of the
network computed once.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import ops

from fmnist import backend
from fmnist.config import FAMILIES, AugmentationConfig, Config
from fmnist.data.dataset import Dataset
from fmnist.data.decisions import Decisions
from fmnist.data.split import run_split
from fmnist.evaluation import metrics
from fmnist.models import head
from fmnist.run.directory import RunDirectory
from fmnist.run.history import TRAIN_SAMPLE
from fmnist.training import augmentation, cached_outputs, distillation, optimizers, weighting
from fmnist.training.distillation import Targets
from fmnist.training.progress import Watcher


@dataclass(frozen=True)
class Examples:
    """Images, uint8 (N, H, W, C), or features, float32 (N, features), with labels, integer (N,), of both parts."""

    train: np.ndarray
    train_labels: np.ndarray
    val: np.ndarray
    val_labels: np.ndarray
    train_weights: np.ndarray | None = None  # float32 (N,); None where all examples count the same


def split(config: Config, dataset: Dataset, decisions: Decisions | None = None) -> Examples:
    """Split the training images, or as many as the settings allow, in those to learn from and those to validate on.

    Decisions are obeyed for the first.
    """
    images, labels = dataset.train_images, dataset.train_labels
    train, val = run_split(config.to_dict(), labels, dataset.num_validation)
    learnt, train_labels = (decisions or Decisions()).obey(train, labels)
    weights = None if dataset.train_weights is None else dataset.train_weights[learnt]
    return Examples(images[learnt], train_labels, images[val], labels[val], weights)


class Phase:
    """A network that is trained on examples from epoch `first` up to epoch `end`, which is not part of it."""

    def __init__(
        self,
        model: keras.Model,
        final: keras.Model,
        examples: Examples,
        targets: Targets,
        config: Config,
        first: int,
        end: int = sys.maxsize,
    ) -> None:
        """Prepare; nothing is traced before the first step. `model` gives logits, `final` probabilities."""
        self.model, self.final, self.first, self.end = model, final, first, end
        self._examples, self._recipe = examples, config.training
        self.optimizer = optimizers.build(self._recipe)
        rows = 2 if config.distillation.teacher else 1
        weights = weighting.image_weights(self._recipe.class_weights, examples.train_labels, examples.train_weights)
        self._targets, loss = weighting.weighted(targets, distillation.loss(config), weights)
        self._steps = backend.Steps(model, self.optimizer, loss, self._recipe.batch_size, rows)
        self._epochs = augmentation.Epochs(examples.train, config.augmentation, self._recipe.seed)
        self._predict = backend.Predictor(final)
        # Of the weights, float32; empty where the last ones count.
        self.average = [np.array(weight) for weight in model.get_weights()] if self._recipe.ema_decay else []
        order = np.random.default_rng(self._recipe.seed).permutation(len(examples.train))
        self._sample = np.sort(order[:TRAIN_SAMPLE])

    def epoch(self, number: int, *, more: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return an epoch's training examples in their order, and their targets; with `more` the next is prepared."""
        epoch = self._epochs.take(number, more=more)
        return epoch.images, epoch.targets(*self._targets)

    def set_learning_rate(self, done: float) -> None:
        """Set the learning rate to what the schedule has when a share `done` (0 to 1) of the run is over."""
        self.optimizer.learning_rate = optimizers.learning_rate(self._recipe, done)

    def learning_rate(self) -> float:
        """Return the learning rate of the last steps."""
        return float(ops.convert_to_numpy(self.optimizer.learning_rate))

    def advance(self, images: np.ndarray, targets: np.ndarray, done: int) -> dict[str, float]:
        """Take the next steps, up to step `done` of the run; return loss and accuracy as `backend.Steps` does."""
        result = self._steps(images, targets)
        if self.average:
            steps = math.ceil(len(images) / self._recipe.batch_size)
            follow_average(self.average, self.model.get_weights(), self._recipe.ema_decay, steps, done)
        return result

    def finish(self) -> None:
        """Give the network that is measured and saved its weights: the average's, or those of the one in training."""
        self.final.set_weights(self.average or self.model.get_weights())

    def measure(self) -> dict[str, float]:
        """Return loss and accuracy in inference mode on a fixed sample of the training examples and on validation."""
        self.finish()
        sample, examples = self._sample, self._examples
        probabilities = self._predict(np.concatenate([examples.train[sample], examples.val]))
        parts = {"train": (probabilities[: len(sample)], examples.train_labels[sample])}
        if len(examples.val):
            parts["val"] = (probabilities[len(sample) :], examples.val_labels)
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

    `decay` is of a step, 0 to 1, and smaller in the first steps, so that the fresh weights are soon forgotten; `steps`
    were taken since the last call, `done` in all.
    """
    kept = np.float32(min(decay, (1 + done) / (10 + done)) ** steps)
    for mean, array in zip(average, weights, strict=True):
        mean *= kept
        mean += (1 - kept) * array


def head_features(
    final: keras.Model, examples: Examples, run: RunDirectory, watcher: Watcher, should_stop: Callable[[], bool]
) -> Examples:
    """Return the examples as the last layer takes them: features, computed once and kept in the run, or read again.

    Raises:
        Interrupted: `should_stop` said so.
    """
    watcher.note("The last layer is trained first, on features of the images that are computed once")
    backbone, _ = head.split(final)
    images, predict = np.concatenate([examples.train, examples.val]), backend.Predictor(backbone)
    features = cached_outputs.kept(run.features, predict, images, backbone.output_shape[1:], should_stop)
    count = len(examples.train)
    return replace(examples, train=features[:count], val=features[count:])


def phases(
    model: keras.Model,
    final: keras.Model,
    examples: Examples,
    features: Examples | None,
    targets: Targets,
    config: Config,
    watcher: Watcher,
) -> Iterator[Phase]:
    """Yield the phases that are left of a run, each built when the one before it is over.

    `features` is what `head_features` returns, if the last layer is still to be trained alone.
    """
    frozen = config.transfer.frozen_epochs
    if features is not None:
        rate = config.transfer.head_learning_rate
        recipe = replace(config.training, learning_rate=rate, adam_learning_rate=rate, schedule="constant")
        plain = replace(config, training=recipe, augmentation=AugmentationConfig())
        yield Phase(head.split(model)[1], head.split(final)[1], features, targets, plain, 0, frozen)
    if config.pretrained() and FAMILIES[config.model.family].pretrained:
        head.freeze(model, config.transfer.fine_tuned_blocks)
    whole = Phase(model, final, examples, targets, config, frozen)
    if features is not None:
        trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        watcher.note(f"From epoch {frozen + 1} on {trained:,} weights are trained")
    yield whole
