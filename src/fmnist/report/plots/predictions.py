"""Reads a run's answers to the test images."""

from __future__ import annotations

import zipfile

import numpy as np

from fmnist.data import Dataset
from fmnist.errors import InputError
from fmnist.run.directory import RunDirectory


def read_probabilities(run: RunDirectory, dataset: Dataset) -> np.ndarray:
    """Return float (N, classes), a row for each test image.

    Raises:
        InputError: `predictions.npz` cannot be read, or belongs to other data.
    """
    path, again = run.predictions, f"`fmnist evaluate {run.path}` makes it again"
    try:
        # numpy leaves a file that it opens itself open when it is no archive.
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            probabilities: np.ndarray = arrays["probabilities"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}; {again}") from error
    expected = (len(dataset.test_labels), dataset.num_classes)
    if probabilities.shape != expected:
        found = f"{path} holds probabilities {probabilities.shape}"
        raise InputError(f"{found}, expected {expected} for {dataset.source}; {again}")
    return probabilities
