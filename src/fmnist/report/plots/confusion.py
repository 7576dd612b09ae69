"""Draws the confusion matrix, in which the mistakes stand out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from fmnist.data import Dataset
from fmnist.report.plots.style import INK, LEFT, MISTAKE, MUTED, PAPER, headline, save, styled
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.text import shorten


def run_confusion(run: RunDirectory, dataset: Dataset, stem: Path) -> list[Path]:
    """Draw the confusion matrix in a run's metrics."""
    matrix = np.array(results.metrics(run)["confusion_matrix"])
    return confusion(matrix, dataset.class_names, stem, f"Confusion of {matrix.sum():,} test images")


@styled()
def confusion(matrix: np.ndarray, class_names: Sequence[str], path_stem: Path, title: str) -> list[Path]:
    """Draw a confusion matrix in which the mistakes stand out: the stronger, the larger the share of the row.

    Args:
        matrix: integer (classes, classes), rows true, columns predicted.
        class_names: a name for each class.
    """
    matrix = np.asarray(matrix)
    number = len(matrix)
    names = [shorten(name, 18) for name in class_names]
    cell = min(max(5.8 / number, 0.34), 0.95)  # inches
    margin = 0.5 + 0.072 * max(map(len, names))  # inches, for the names at the left
    bottom, top, right = 0.4 + 0.055 * max(map(len, names)), 0.86, 0.3
    width, height = max(margin + cell * number + right, 4.6), bottom + cell * number + top
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((margin / width, bottom / height, cell * number / width, cell * number / height))

    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    colours = np.tile(to_rgba(MISTAKE), (number, number, 1))
    # The square root keeps rare mistakes visible; rows without a mistake of 5% are not blown up to full colour.
    colours[..., 3] = 0.7 * np.sqrt(share / max(share.max(), 0.05))
    colours[matrix == 0] = to_rgba(MUTED, 0.04)
    colours[np.diag_indices(number)] = to_rgba(MUTED, 0.15)
    axes.pcolormesh(colours, edgecolors=PAPER, linewidth=1)
    axes.set(xlim=(0, number), ylim=(number, 0))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    size = max(min(cell * 72 / max(len(str(matrix.max())), 3) / 0.9, 9.5), 4)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = MUTED if row == column else INK
            axes.text(column + 0.5, row + 0.52, str(count), size=size, color=colour, ha="center", va="center")
    axes.set_yticks(np.arange(number) + 0.5, names, size=8.5)
    axes.set_xticks(np.arange(number) + 0.5, names, size=8.5, rotation=38, ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    headline(figure, title)
    note = "Grey: correct. Orange: wrong; the stronger, the larger the share of the row."
    figure.text(LEFT / width, 1 - 0.5 / height, note, size=8, color=MUTED, va="top")
    return save(figure, path_stem)
