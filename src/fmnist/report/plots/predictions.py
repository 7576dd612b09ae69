"""Reads a run's answers to the test images."""

import numpy as np

from fmnist.data import Dataset
from fmnist.errors import InputError
from fmnist.run import results
from fmnist.run.directory import RunDirectory


def read_probabilities(run: RunDirectory, dataset: Dataset) -> np.ndarray:
    """Return float (N, classes), a row for each test image.

    Raises:
        InputError: `predictions.npz` cannot be read, or belongs to other data.
    """
    probabilities = results.predictions(run).probabilities
    expected = (len(dataset.test_labels), dataset.num_classes)
    if probabilities.shape != expected:
        raise InputError(
            f"{run.predictions} holds probabilities {probabilities.shape}, expected {expected} for {dataset.source}; "
            f"`fmnist evaluate {run.path}` makes it again"
        )
    return probabilities
