"""Answers for every image by networks that did not learn from it, and how unlike all others it is: out of fold."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.data.split import fold_indices
from fmnist.errors import InputError
from fmnist.evaluation import novelty
from fmnist.run.directory import TEMPORARY, RunDirectory
from fmnist.text import some
from fmnist.training.progress import Watcher

# A preset that takes fewer steps than these on the images that there are gets more epochs: 300 images are three steps
# an epoch of `fast`, after which its network knows nothing.
FEWEST_STEPS = 300
_RUN = f"{TEMPORARY}fold"  # in the audit's folder; a killed audit's is removed by the next one, with its lock
# So many images describe what is familiar, 54 numbers an image, and a tenth of them place the threshold.
_DESCRIBING = 10_000


class AuditWatcher(Watcher):
    """What an audit tells while it runs, besides what training tells. Every method may be left as it is."""

    def fold(self, number: int, folds: int) -> None:
        """The network of a fold, 1 to `folds`, is trained next, unless its answers are kept."""

    def work(self, text: str, done: int, total: int) -> None:
        """Work other than training goes on."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What is known of each image by what did not learn from it.

    Attributes:
        train: probabilities, float32 (N, classes), of the fold that held the image out.
        test: probabilities, float32 (M, classes), the mean of all folds.
        train_unfamiliarity: float32 (N,), as `Novelty.unfamiliarity` has it; `test_unfamiliarity`: (M,).
    """

    train: np.ndarray
    test: np.ndarray
    train_unfamiliarity: np.ndarray
    test_unfamiliarity: np.ndarray


def check(dataset: Dataset, folds: int) -> None:
    """Refuse a data set that is too small for folds.

    Raises:
        InputError: there are fewer than 2 folds, or a class has fewer training images than folds.
    """
    if folds < 2:
        raise InputError(f"folds is {folds}; expected 2 or more")
    counts = np.bincount(dataset.train_labels, minlength=dataset.num_classes)
    few = [f"{name} {count:,}" for name, count in zip(dataset.class_names, counts, strict=True) if 0 < count < folds]
    if few or (counts > 0).sum() < 2:
        least = int(counts[counts > 0].min())
        mend = f", or take `folds={least}`" if least > 1 and (counts > 0).sum() > 1 else ""
        told = some(few, 5) or f"all images are of {dataset.class_names[counts.argmax()]}"
        raise InputError(
            f"an audit with `folds={folds}` needs two classes with at least {folds} training images in each class "
            f"that has any; found {told}; add images{mend}"
        )


def suited(config: Config, images: int) -> Config:
    """Return the settings for the networks of the folds, which learn from so many images.

    They validate on none, unless early stopping needs it, and get epochs enough for `FEWEST_STEPS` steps.
    """
    if not config.training.early_stopping:
        config = config.with_overrides(validation_fraction=0.0)
    steps = math.ceil(images / config.training.batch_size)
    epochs = max(config.training.epochs, math.ceil(FEWEST_STEPS / steps))
    return config if config.training.time_budget else config.with_overrides(epochs=epochs)


def out_of_fold(
    config: Config,
    dataset: Dataset,
    folder: RunDirectory,
    folds: int,
    watcher: AuditWatcher,
    should_stop: Callable[[], bool],
) -> OutOfFold:
    """Train a network for each fold on all the others, and return what they answer about what they have not seen.

    The answers of a fold are kept in the folder, so that an audit that was interrupted goes on after it.

    Raises:
        Interrupted: `should_stop` said so.
        RunError: a loss is not finite, or the disk is full.
    """
    from fmnist.training import cached_outputs

    images, labels, tests = dataset.train_images, dataset.train_labels, dataset.test_images
    probabilities = np.zeros((len(images), dataset.num_classes), np.float32)
    unfamiliarity = np.zeros(len(images), np.float32)
    of_tests = []
    for fold in range(folds):
        watcher.fold(fold + 1, folds)
        learnt, held_out = fold_indices(labels, folds, fold, config.training.seed)
        part = replace(
            dataset, train_images=images[learnt], train_labels=labels[learnt], num_validation=0, train_weights=None
        )
        asked = np.concatenate([images[held_out], tests])
        predict = _network(suited(config, len(learnt)), part, folder, watcher, should_stop)
        path = folder.path / f"fold-{fold + 1}.npz"
        answers = cached_outputs.kept(path, predict, asked, (dataset.num_classes,), should_stop)
        probabilities[held_out] = answers[: len(held_out)]
        of_tests.append(answers[len(held_out) :])
        mixed = np.random.default_rng(fold).permutation
        few, others = mixed(learnt)[:_DESCRIBING], mixed(held_out)[: _DESCRIBING // 10]
        known = novelty.fit(images[few], labels[few], images[others])
        unfamiliarity[held_out] = known.unfamiliarity(images[held_out])
    shutil.rmtree(folder.path / _RUN, ignore_errors=True)
    mean = np.asarray(np.mean(of_tests, axis=0, dtype=np.float32))
    return OutOfFold(probabilities, mean, unfamiliarity, known.unfamiliarity(tests))


def _network(
    config: Config, dataset: Dataset, folder: RunDirectory, watcher: Watcher, should_stop: Callable[[], bool]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives a network's probabilities for images; it is trained when it is asked first."""

    @cache
    def trained() -> Callable[[np.ndarray], np.ndarray]:
        from fmnist import pipeline
        from fmnist.evaluation.evaluate import load_model

        run = RunDirectory(folder.path / _RUN)
        how: dict[str, Any] = {"watcher": watcher, "should_stop": should_stop, "overwrite": True, "train_only": True}
        return load_model(pipeline.train(config, dataset, run, **how))

    return lambda images: trained()(images)
