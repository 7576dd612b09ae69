"""Draws the confusion matrix, in which the mistakes stand out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgba

from fmnist.evaluation.metrics import mistake_strengths
from fmnist.report.plots.style import INK, LEFT, MISTAKE, MUTED, PAPER, axes_at, save, styled, titled
from fmnist.text import shorten


@styled()
def confusion(matrix: np.ndarray, class_names: Sequence[str], path_stem: Path, title: str) -> list[Path]:
    """Draw a confusion matrix, integer (classes, classes), rows true, columns predicted."""
    number = len(matrix)
    names = [shorten(name, 18) for name in class_names]
    cell = min(max(5.8 / number, 0.34), 0.95)  # inches
    side, longest = cell * number, max(map(len, names))
    left, bottom = 0.5 + 0.072 * longest, 0.4 + 0.055 * longest  # for the names
    width, height = max(left + side + 0.3, 4.6), bottom + side + 0.86
    figure = titled(width, height, title)
    axes = axes_at(figure, left, bottom, side, side)

    colours = np.tile(to_rgba(MISTAKE), (number, number, 1))
    colours[..., 3] = 0.7 * mistake_strengths(matrix)
    colours[matrix == 0] = to_rgba(MUTED, 0.04)
    colours[np.diag_indices(number)] = to_rgba(MUTED, 0.15)
    axes.pcolormesh(colours, edgecolors=PAPER, linewidth=1)
    axes.set(xlim=(0, number), ylim=(number, 0))
    axes.spines.bottom.set_visible(False)
    axes.tick_params(labelcolor=INK)
    size = max(min(cell * 72 / max(len(str(matrix.max())), 3) / 0.9, 9.5), 4)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = MUTED if row == column else INK
            axes.text(column + 0.5, row + 0.52, str(count), size=size, color=colour, ha="center", va="center")
    axes.set_yticks(np.arange(number) + 0.5, names, size=8.5)
    axes.set_xticks(np.arange(number) + 0.5, names, size=8.5, rotation=38, ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    note = "Grey: correct. Orange: wrong; the stronger, the larger the share of the row."
    figure.text(LEFT / width, 1 - 0.5 / height, note, size=8, color=MUTED, va="top")
    return save(figure, path_stem)
