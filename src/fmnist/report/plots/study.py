"""The pictures of a study: what each variant changes, with intervals; the curves of all, mean and band over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fmnist.report.plots import style
from fmnist.report.plots.curves import along_epochs, label_ends
from fmnist.report.plots.style import INK, MUTED, PAPER, PART, SIDE_STRIP, TRAINING, VALIDATION
from fmnist.run.history import History
from fmnist.text import shorten

# Of the variants, in tones that show on white and on dark. Blue and orange are not among them: they say training and
# validation. From the ninth on lines are dashed.
PALETTE = ("#009e73", "#b8579a", "#a88400", "#7a68c4", "#8c6d4f", "#c2506e", "#1f93a3", "#6d9420")
_PANEL_COLUMNS, _PANEL_HEIGHT = 3, 2.6
COLUMNS = ("train_loss", "val_loss", "val_accuracy")  # of a history, that are drawn
Curve = Sequence[tuple[int, float, float]]
"""Epochs, each with the mean and the standard deviation of one column over the runs."""
Averages = Mapping[str, Mapping[str, Curve]]
"""The curves of each variant by their columns, the baseline first."""


def average(runs: Sequence[History]) -> Mapping[str, Curve]:
    """Return the curves of a variant from the histories of its runs, which may end at different epochs."""
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for column in COLUMNS:
        rows = [row for run in runs for row in run if column in row]
        curves[column] = []
        for epoch in sorted({int(row["epoch"]) for row in rows}):
            values = [row[column] for row in rows if row["epoch"] == epoch]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            curves[column].append((epoch, float(np.mean(values)), spread))
    return curves


@dataclass(frozen=True)
class Effect:
    """A difference to the baseline, in points, and half of its 95% interval, if it has one."""

    name: str
    value: float
    margin: float | None


@style.styled()
def effects(panels: Mapping[str, Sequence[Effect]], path_stem: Path, title: str) -> list[Path]:
    """Draw differences to the baseline as dots with intervals, a row a variant, a panel a quantity.

    What is measurable has a full dot, what is not an empty one.
    """
    rows = max(map(len, panels.values()))
    height = style.TITLE_STRIP + 0.75 + 0.3 * rows
    figure = style.titled(len(panels) * PART + 2 * SIDE_STRIP, height, title, len(panels))
    for number, (name, found) in enumerate(panels.items()):
        axes = style.axes_at(figure, SIDE_STRIP + number * PART + 1.75, 0.42, PART - 1.95, 0.3 * rows)
        axes.set_title(name, x=-1.65 / (PART - 1.95))  # above the variants' names
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.grid(axis="x")
        for place, effect in enumerate(found):
            measurable = effect.margin is not None and abs(effect.value) > effect.margin
            colour, fill = (INK, INK) if measurable else (MUTED, PAPER)
            if effect.margin is not None:
                ends = (effect.value - effect.margin, effect.value + effect.margin)
                axes.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(effect.value, place, "o", color=colour, markerfacecolor=fill, markersize=6)
        axes.set_yticks(range(len(found)), [shorten(effect.name, 25) for effect in found], color=INK)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return style.save(figure, path_stem)


@style.styled()
def overlay(averages: Averages, path_stem: Path, title: str) -> list[Path]:
    """Draw validation accuracy and validation loss of all variants over each other, the first one strongest.

    The first quarter of the epochs is left out: it lies so far off that the variants would fall together.
    """
    height = max(3.6, style.TITLE_STRIP + 1 + 0.19 * len(averages))
    inside = height - style.TITLE_STRIP - 0.8
    figure = style.titled(2 * PART + 2 * SIDE_STRIP, height, title, columns=2)
    quantities = (("val_accuracy", "Validation accuracy, %", 100), ("val_loss", "Validation loss", 1))
    for place, (key, unit, factor) in enumerate(quantities):
        axes = style.axes_at(figure, SIDE_STRIP + place * PART + 0.45, 0.48, 1.45, inside)
        axes.set_title(unit)
        along_epochs(axes, labelpad=1)
        ends = []
        for number, (name, curves) in enumerate(averages.items()):
            late = [point for point in curves[key] if point[0] > curves[key][-1][0] // 4]
            colour = INK if number == 0 else PALETTE[(number - 1) % len(PALETTE)]
            dashes = (0, (4, 1.5)) if number > len(PALETTE) else "solid"
            last = _band(axes, late, factor, colour, linewidth=2.4 if number == 0 else 1.5, linestyle=dashes)
            if last is not None:
                ends.append((last, f"{shorten(name, 22)} {last:.{1 if factor == 100 else 3}f}", colour))
        label_ends(axes, ends, distance=0.165 / inside, weight="normal")
    return style.save(figure, path_stem)


@style.styled()
def panels(averages: Averages, path_stem: Path, title: str) -> list[Path]:
    """Draw training and validation loss of each variant in a panel of its own, with the baseline's behind it."""
    rows = math.ceil(len(averages) / _PANEL_COLUMNS)
    width, height = _PANEL_COLUMNS * PART + 2 * SIDE_STRIP, rows * _PANEL_HEIGHT + style.TITLE_STRIP
    figure = style.titled(width, height, title, _PANEL_COLUMNS, len(averages))
    baseline, *_ = averages.values()
    colours = {"train_loss": TRAINING, "val_loss": VALIDATION}
    for number, (name, curves) in enumerate(averages.items()):
        row, column = divmod(number, _PANEL_COLUMNS)
        left, bottom = SIDE_STRIP + column * PART + 0.42, (rows - row - 1) * _PANEL_HEIGHT + 0.45
        first = next(iter(figure.axes), None)
        axes = style.axes_at(figure, left, bottom, PART - 0.62, _PANEL_HEIGHT - 0.8, sharey=first)
        axes.set_title(shorten(name, 34), color=INK)
        along_epochs(axes, labelpad=1)
        if number:
            for key in colours:
                _band(axes, baseline[key], 1, MUTED, band=False, linewidth=1, linestyle=(0, (1, 1.5)))
        for key, colour in colours.items():
            _band(axes, curves[key], 1, colour, linewidth=1.8)
    figure.axes[0].set_ylim(bottom=0)  # and so of all
    return style.save(figure, path_stem)


def _band(axes: Axes, curve: Curve, factor: float, colour: str, *, band: bool = True, **line: object) -> float | None:
    """Draw a mean and a band of one standard deviation; return the last mean, if there is any."""
    if not curve:
        return None
    epochs, means, spread = np.array(curve).T * [[1], [factor], [factor]]
    dots = {"marker": "o", "markersize": 3} if len(epochs) == 1 else {}
    axes.plot(epochs, means, color=colour, solid_capstyle="round", **line, **dots)
    if band and spread.any():
        axes.fill_between(epochs, means - spread, means + spread, color=colour, alpha=0.18, linewidth=0)
    return float(means[-1])
