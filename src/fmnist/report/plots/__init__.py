"""Draws the plots of a run, as PNG (150 dpi) and SVG. A plot is a file here and a row of `PLOTS`.

Each drawing function takes `path_stem`, where to write (without `.png` and `.svg`), and most a `title`, the figure's
headline; it returns the two files. It uses matplotlib's object interface and bundled font, and no display: the same
numbers give the same SVG.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib  # noqa: F401 (first, so that where it is missing the error names it and not one of its parts)

from fmnist.data import Dataset
from fmnist.errors import InputError
from fmnist.report.plots.confusion import confusion, run_confusion
from fmnist.report.plots.curves import curves, final_gap, run_curves
from fmnist.report.plots.reliability import draw_reliability, run_reliability
from fmnist.report.plots.tiles import first_test_images, first_train_images, mistakes, run_mistakes, sample_sheet
from fmnist.run import results
from fmnist.run.directory import RunDirectory

__all__ = [
    "PLOTS",
    "Plot",
    "confusion",
    "curves",
    "draw_all",
    "draw_reliability",
    "final_gap",
    "mistakes",
    "sample_sheet",
]


@dataclass(frozen=True)
class Plot:
    """A row of the table: a picture that `fmnist report` draws and shows.

    Attributes:
        name: of its files in `plots/`.
        draw: draws it from a run to a path without suffix, and returns the files written.
        needs: the run's file without which it is left out, as `RunDirectory` names it; "" for none.
        place: where the report shows it: one of its sections that have pictures, or "" for a section of its own.
        label: what it shows, for those who cannot see it.
        caption: below it.
        heading: above it.
        parts: side by side, of the same width; a narrow page has them in a column.
    """

    name: str
    draw: Callable[[RunDirectory, Dataset, Path], list[Path]]
    needs: str
    place: str
    label: str
    caption: str = ""
    heading: str = ""
    parts: int = 2

    def drawable(self, run: RunDirectory) -> bool:
        """Whether the run has what the plot needs."""
        return not self.needs or getattr(run, self.needs).is_file()


PLOTS = (
    Plot("curves", run_curves, "history", "curves", "Accuracy and loss after each epoch.",
         "Solid lines are measured after each epoch. The dotted line is the average kept while the epoch runs: it lags "
         "behind, and feels augmentation and dropout."),
    Plot("samples-train", first_train_images, "", "samples", "The first images of the training set with their classes.",
         heading="The first training images"),
    Plot("samples-test", first_test_images, "", "samples", "The first images of the test set with their classes.",
         heading="The first test images"),
    Plot("confusion", run_confusion, "metrics", "confusions",
         "Confusion matrix: rows are the true classes, columns the predicted ones. The list has the largest.", parts=1),
    Plot("mistakes", run_mistakes, "predictions", "mistakes",
         "Wrongly classified test images, each with the predicted class, the confidence in it and the true class.",
         "Above the true class, the class that the model predicted and how sure it was. Some labels may be wrong."),
    Plot("reliability", run_reliability, "predictions", "calibration",
         "Reliability diagram: the accuracy of the answers in each of 15 bins of confidence, beside the confidence.",
         "Blue: how often answers of that confidence are correct. Orange: what it lacks to the confidence, or beyond "
         "it. Thin lines are 95% intervals."),
)  # fmt: skip


def draw_all(run: RunDirectory, dataset: Dataset) -> list[Path]:
    """Draw into `plots/` of a run each of `PLOTS` that its files allow.

    Args:
        run: a plot is left out where the file that it needs is missing.
        dataset: the data that the run was trained on.

    Returns:
        The files written, each plot as PNG and SVG.

    Raises:
        InputError: the data is not what the run was trained on, or a file of the run cannot be read.
    """
    if results.trained_on(results.environment(run), dataset.sha256) is False:
        raise InputError(f"{run.path} was trained on other data than {dataset.source}; give its data with --data-dir")
    return [path for plot in PLOTS if plot.drawable(run) for path in plot.draw(run, dataset, run.plots / plot.name)]
