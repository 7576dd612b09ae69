"""The pictures of a run, as PNG (150 dpi) and SVG: learning curves, samples, confusion matrix, mistakes, reliability.

Drawn through matplotlib's object interface on its bundled font, without a display: the same numbers give the same SVG.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib  # noqa: F401 (first, so that where it is missing the error names it and not one of its parts)
import numpy as np

from fmnist.errors import InputError
from fmnist.report.plots.confusion import confusion
from fmnist.report.plots.curves import curves, final_gap
from fmnist.report.plots.reliability import draw_reliability
from fmnist.report.plots.style import shorten
from fmnist.report.plots.tiles import mistakes, sample_sheet
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history

if TYPE_CHECKING:
    from fmnist.data import Dataset

__all__ = ["confusion", "curves", "draw_all", "draw_reliability", "final_gap", "mistakes", "sample_sheet"]

_SAMPLES = 40


def draw_all(run: RunDirectory, dataset: Dataset) -> list[Path]:
    """Draw into `plots/` of a run all that its files allow.

    Args:
        run: what is missing in it is left out: the history, the diagnosis's marks, the metrics, the predictions.
        dataset: the data that the run was trained on.

    Returns:
        The files written, each as PNG and SVG: curves, samples-train, samples-test, confusion, mistakes, reliability.

    Raises:
        InputError: the data is not what the run was trained on, or a file of the run cannot be read.
    """
    _check_data(run, dataset)
    probabilities = _read_probabilities(run, dataset) if run.predictions.is_file() else None
    names, paths = dataset.class_names, []
    if run.history.is_file() and (history := read_history(run.history)):
        found = results.diagnosis(run)
        marks = {name: moment["epoch"] for name in ("gap_opens", "turns") if (moment := found.get(name))}
        paths += curves(history, run.plots / "curves", f"Learning curves of {shorten(run.name, 60)}", **marks)
    for part, images, labels in (
        ("train", dataset.train_images[:_SAMPLES], dataset.train_labels[:_SAMPLES]),
        ("test", dataset.test_images[:_SAMPLES], dataset.test_labels[:_SAMPLES]),
    ):
        title = f"The first {'training' if part == 'train' else part} images"
        paths += sample_sheet(images, labels, names, run.plots / f"samples-{part}", title)
    if metrics := results.metrics(run):
        matrix = np.array(metrics["confusion_matrix"])
        paths += confusion(matrix, names, run.plots / "confusion", f"Confusion of {matrix.sum():,} test images")
    if probabilities is not None:
        paths += mistakes(dataset.test_images, dataset.test_labels, probabilities, names, run.plots / "mistakes")
        title = f"How often it is right when it is so sure: {len(probabilities):,} test images"
        temperature = results.temperature(run)
        paths += draw_reliability(probabilities, dataset.test_labels, run.plots / "reliability", title, temperature)
    return paths


def _check_data(run: RunDirectory, dataset: Dataset) -> None:
    if results.trained_on(results.environment(run), dataset.sha256) is False:
        raise InputError(f"{run.path} was trained on other data than {dataset.source}; give its data with --data-dir")


def _read_probabilities(run: RunDirectory, dataset: Dataset) -> np.ndarray:
    """Return float (N, classes), one row for each test image."""
    probabilities = results.predictions(run).probabilities
    expected = (len(dataset.test_labels), dataset.num_classes)
    if probabilities.shape != expected:
        raise InputError(
            f"{run.predictions} holds probabilities {probabilities.shape}, expected {expected} for {dataset.source}; "
            f"`fmnist evaluate {run.path}` makes it again"
        )
    return probabilities
