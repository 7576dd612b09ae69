"""Draws the plots of a run, as PNG (150 dpi) and SVG. A plot is a function here and a row of `PLOTS`.

Drawn through matplotlib's object interface on its bundled font, without a display: the same numbers give the same SVG.
Each function takes the path of its files without `.png` and `.svg`, and returns the files written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib  # noqa: F401 (first, so that where it is missing the error names it and not one of its parts)
import numpy as np

from fmnist.data import Dataset
from fmnist.errors import InputError
from fmnist.report.plots.confusion import confusion
from fmnist.report.plots.curves import curves
from fmnist.report.plots.reliability import draw_reliability
from fmnist.report.plots.tiles import mistakes, sample_sheet
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history
from fmnist.text import shorten

__all__ = ["PLOTS", "Plot", "draw_all", "sample_sheet"]

_SAMPLES = 40


@dataclass(frozen=True)
class Plot:
    """A row of the table: a picture that `fmnist report` draws and shows."""

    name: str  # of its files in `plots/`
    draw: Callable[[RunDirectory, Dataset, Path], list[Path]]
    needs: str  # the run's file without which it is left out, as `RunDirectory` names it; "" for none
    place: str  # where the report shows it: one of its sections that have pictures, or "" for a section of its own
    label: str  # what it shows, for those who cannot see it
    caption: str = ""  # below it
    heading: str = ""  # above it
    parts: int = 2  # side by side, of the same width; a narrow page has them in a column

    def drawable(self, run: RunDirectory) -> bool:
        """Whether the run has what the plot needs."""
        return not self.needs or getattr(run, self.needs).is_file()


def _curves(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    if not (history := read_history(run.history)):  # no epoch is done
        return []
    found = results.diagnosis(run)
    marks = {name: moment["epoch"] for name in ("gap_opens", "turns") if (moment := found.get(name))}
    return curves(history, stem, f"Learning curves of {shorten(run.name, 60)}", **marks)


def _train_samples(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    images, labels = data.train_images[:_SAMPLES], data.train_labels[:_SAMPLES]
    return sample_sheet(images, labels, data.class_names, stem, "The first training images")


def _test_samples(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    images, labels = data.test_images[:_SAMPLES], data.test_labels[:_SAMPLES]
    return sample_sheet(images, labels, data.class_names, stem, "The first test images")


def _confusion(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    matrix = np.array(results.metrics(run)["confusion_matrix"])
    return confusion(matrix, data.class_names, stem, f"Confusion of {matrix.sum():,} test images")


def _mistakes(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    return mistakes(data.test_images, data.test_labels, _probabilities(run, data), data.class_names, stem)


def _reliability(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    title = f"How often it is correct when it is so sure: {len(data.test_labels):,} test images"
    return draw_reliability(_probabilities(run, data), data.test_labels, stem, title, results.temperature(run))


def _probabilities(run: RunDirectory, dataset: Dataset) -> np.ndarray:
    """Return a run's answers to the test images, float (N, classes), unless they belong to other data."""
    found = results.predictions(run).probabilities
    expected = (len(dataset.test_labels), dataset.num_classes)
    if found.shape != expected:
        raise InputError(
            f"{run.predictions} holds probabilities {found.shape}, expected {expected} for {dataset.source}; "
            f"`fmnist evaluate {run.path}` makes it again"
        )
    return found


PLOTS = (
    Plot("curves", _curves, "history", "curves", "Accuracy and loss after each epoch.",
         "Solid lines are measured after each epoch. The dotted line is the average kept while the epoch runs: it lags "
         "behind, and feels augmentation and dropout."),
    Plot("samples-train", _train_samples, "", "samples", "The first images of the training set with their classes.",
         heading="The first training images"),
    Plot("samples-test", _test_samples, "", "samples", "The first images of the test set with their classes.",
         heading="The first test images"),
    Plot("confusion", _confusion, "metrics", "confusions",
         "Confusion matrix: rows are the true classes, columns the predicted ones. The list has the largest.", parts=1),
    Plot("mistakes", _mistakes, "predictions", "mistakes",
         "Wrongly classified test images, each with the predicted class, the confidence in it and the true class.",
         "Above the true class, the class that the model predicted and how sure it was. Some labels may be wrong."),
    Plot("reliability", _reliability, "predictions", "calibration",
         "Reliability diagram: the accuracy of the answers in each of 15 bins of confidence, beside the confidence.",
         "Blue: how often answers of that confidence are correct. Orange: what it lacks to the confidence, or beyond "
         "it. Thin lines are 95% intervals."),
)  # fmt: skip


def draw_all(run: RunDirectory, dataset: Dataset) -> list[Path]:
    """Draw into `plots/` of a run each of `PLOTS` whose file is there; return the files written.

    Raises:
        InputError: the data is not what the run was trained on, or a file of the run cannot be read.
    """
    if results.trained_on(results.environment(run), dataset.sha256) is False:
        raise InputError(f"{run.path} was trained on other data than {dataset.source}; give its data with --data-dir")
    return [path for plot in PLOTS if plot.drawable(run) for path in plot.draw(run, dataset, run.plots / plot.name)]
