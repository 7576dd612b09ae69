"""Draws the plots of a run, as PNG (150 dpi) and SVG. A plot is a function here and a row of `PLOTS`.

Drawn through matplotlib's object interface on its bundled font, without a display: the same numbers give the same SVG.
Each function takes the path of its files without `.png` and `.svg`, and returns the files written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib  # noqa: F401 (first, so that where it is missing the error names it and not one of its parts)
import numpy as np

from fmnist.data.dataset import Dataset
from fmnist.errors import InputError
from fmnist.report.plots.confusion import confusion
from fmnist.report.plots.curves import curves, within_epoch
from fmnist.report.plots.reliability import draw_reliability
from fmnist.report.plots.robustness import draw_robustness
from fmnist.report.plots.tiles import mistakes, sample_sheet
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history
from fmnist.text import plural, shorten

__all__ = ["PLOTS", "Plot", "draw_all", "sample_sheet"]

_SAMPLES, _SAMPLE_COLUMNS = 40, 8


@dataclass(frozen=True)
class Plot:
    """A row of the table: a picture that `fmnist report` draws and shows."""

    name: str  # of its files in `plots/`
    draw: Callable[[RunDirectory, Dataset, Path], list[Path]]
    place: str | None  # the report's section that shows it, "" for one of its own, None for none
    label: str  # what it shows, for those who cannot see it
    caption: str = ""  # below it
    heading: str = ""  # above it
    drawable: Callable[[RunDirectory], bool] = lambda run: True  # whether a run has what it needs


def _has(name: str) -> Callable[[RunDirectory], bool]:
    """Return whether a run has a file; `RunDirectory` has the names."""
    return lambda run: getattr(run, name).is_file()


def _epochs(run: RunDirectory) -> int:
    return len(read_history(run.history)) if run.history.is_file() else 0


def _curves(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    history = read_history(run.history)
    found = results.diagnosis(run)
    marks = {name: moment["epoch"] for name in ("gap_opens", "turns") if (moment := found.get(name))}
    return curves(history, stem, f"Learning curves of {shorten(run.name, 45)}", trend=found.get("trend", ()), **marks)


def _within_epoch(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    return within_epoch(results.first_epoch(run), stem, f"The one epoch of {shorten(run.name, 18)}")


def _train_samples(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    images, labels = data.train_images[:_SAMPLES], data.train_labels[:_SAMPLES]
    return sample_sheet(images, labels, data.class_names, stem, "The first training images", _SAMPLE_COLUMNS)


def _test_samples(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    images, labels = data.test_images[:_SAMPLES], data.test_labels[:_SAMPLES]
    return sample_sheet(images, labels, data.class_names, stem, "The first test images", _SAMPLE_COLUMNS)


def _confusion(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    matrix = np.array(results.metrics(run)["confusion_matrix"])
    return confusion(matrix, data.class_names, stem, f"Confusion of {matrix.sum():,} test images")


def _mistakes(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    return mistakes(data.test_images, data.test_labels, _probabilities(run, data), data.class_names, stem)


def _reliability(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    title = f"Reliability: {len(data.test_labels):,} test images"
    return draw_reliability(_probabilities(run, data), data.test_labels, stem, title, results.temperature(run))


def _robustness(run: RunDirectory, data: Dataset, stem: Path) -> list[Path]:
    found = results.robustness(run)
    title = f"{len(found['kinds'])} corruptions of {plural(found['num_images'], 'test image')}"
    return draw_robustness(found, stem, title)


def _probabilities(run: RunDirectory, dataset: Dataset) -> np.ndarray:
    """Return a run's answers to the test images, float (N, classes), unless they belong to other data."""
    found = results.predictions(run).probabilities
    expected = (len(dataset.test_labels), dataset.num_classes)
    if found.shape != expected:
        raise InputError(
            f"{run.predictions} holds probabilities {found.shape}, expected {expected} for {dataset.source}; "
            f"`{run.command('evaluate')}` makes it again"
        )
    return found


PLOTS = (
    Plot("curves", _curves, "curves", "Accuracy and loss after each epoch.",
         "Solid lines are measured after each epoch. The dotted line is the average kept while the epoch runs: it lags "
         "behind, and feels augmentation and dropout. The thin line is the trend: the validation loss without its "
         "jitter.", drawable=lambda run: _epochs(run) > 1),
    Plot("within-epoch", _within_epoch, "curves", "Training loss over the steps of the only epoch.",
         "One epoch has no curve. This is the training loss within it, a point for every few steps, as training "
         "minimises it: with smoothed labels, augmentation and dropout, where they are on.",
         drawable=lambda run: _epochs(run) == 1 and bool(results.first_epoch(run))),
    Plot("samples-train", _train_samples, "samples", "The first images of the training set with their classes.",
         heading="The first training images"),
    Plot("samples-test", _test_samples, "samples", "The first images of the test set with their classes.",
         heading="The first test images"),
    # A table on the page, which fits a phone.
    Plot("confusion", _confusion, None, "Confusion matrix.", drawable=_has("metrics")),
    Plot("mistakes", _mistakes, "mistakes",
         "Wrongly classified test images, each with the predicted class, the confidence in it and the true class.",
         "Above the true class, the class that the model predicted and how sure it was. Some labels may be wrong.",
         drawable=_has("predictions")),
    Plot("reliability", _reliability, "calibration",
         "Reliability diagram: the accuracy of the answers in each of 15 bins of confidence, beside the confidence.",
         "Blue: how often answers of that confidence are correct. Orange: what it lacks to the confidence, or beyond "
         "it. Thin lines are 95% intervals.", drawable=_has("predictions")),
    Plot("robustness", _robustness, "robustness",
         "Heat maps of the accuracy, the calibration error and the share called unfamiliar, for each corruption and "
         "strength.",
         "The stronger the orange, the worse than on the images as they are; of what is called unfamiliar, the more.",
         drawable=_has("robustness")),
)  # fmt: skip


def draw_all(run: RunDirectory, dataset: Dataset, out: Path | None = None) -> list[Path]:
    """Draw each of `PLOTS` that a run has what it needs for into `plots/`, of the run or of a folder `out`.

    What lay there under these names before is gone then: the report shows what was drawn here, nothing from elsewhere.

    Raises:
        InputError: the data is not what the run was trained on, or a file of the run cannot be read.
    """
    if results.trained_on(results.environment(run), dataset.sha256) is False:
        raise InputError(f"{run.path} was trained on other data than {dataset.source}; give its data with `data_dir`")
    folder = (RunDirectory(out) if out else run).plots
    drawn = [path for plot in PLOTS if plot.drawable(run) for path in plot.draw(run, dataset, folder / plot.name)]
    for stale in {folder / f"{plot.name}{suffix}" for plot in PLOTS for suffix in (".png", ".svg")} - {*drawn}:
        stale.unlink(missing_ok=True)
    return drawn
