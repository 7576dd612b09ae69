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
from fmnist.report.plots.style import INK, MUTED, TRAINING, VALIDATION
from fmnist.run.history import History
from fmnist.text import shorten

# Okabe and Ito's colours and four more, in tones that show on white and on dark; from the eighth on lines are dashed.
PALETTE = ("#0072b2", "#d65a00", "#009e73", "#b8579a", "#a88400", "#3d9fd4", "#7a68c4", "#8c6d4f")
PANEL_COLUMNS = 3
_WIDTH, _HEIGHT = 3.3, 2.45  # of a panel, in inches
Histories = Mapping[str, Sequence[History]]
"""Of the runs of each variant, the baseline first."""


@dataclass(frozen=True)
class Effect:
    """A difference to the baseline, in points, and half of its 95% interval, if it has one."""

    name: str
    value: float
    margin: float | None


@style.styled()
def effects(
    panels: Mapping[str, Sequence[Effect]], better: Mapping[str, int], path_stem: Path, title: str
) -> list[Path]:
    """Draw differences to the baseline as dots with intervals, a row a variant, a panel a quantity.

    `better` decides the colour of what is measurable: by the panel's title 1 if more is better, -1 if less is.
    """
    rows = max(map(len, panels.values()))
    figure = style.titled(10, style.TITLE_STRIP + 0.75 + 0.3 * rows, title)
    width = (10 - 2 * style.SIDE_STRIP) / len(panels)
    for number, (name, found) in enumerate(panels.items()):
        axes = style.axes_at(figure, style.SIDE_STRIP + number * width + 2.05, 0.42, width - 2.25, 0.3 * rows)
        axes.set_title(name)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.grid(axis="x")
        for place, effect in enumerate(found):
            measurable = effect.margin is not None and abs(effect.value) > effect.margin
            colour = (TRAINING if effect.value * better[name] > 0 else VALIDATION) if measurable else MUTED
            if effect.margin is not None:
                ends = (effect.value - effect.margin, effect.value + effect.margin)
                axes.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(effect.value, place, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(found)), [shorten(effect.name, 30) for effect in found], color=INK)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return style.save(figure, path_stem)


@style.styled()
def overlay(histories: Histories, path_stem: Path, title: str) -> list[Path]:
    """Draw validation accuracy and validation loss of all variants over each other, the first one strongest."""
    height = max(4.2, style.TITLE_STRIP + 1 + 0.19 * len(histories))
    inside = height - style.TITLE_STRIP - 0.8
    figure = style.titled(10, height, title)
    halves = ((0.45, "val_accuracy", "Validation accuracy, %", 100), (5.35, "val_loss", "Validation loss", 1))
    for left, key, unit, factor in halves:
        axes = style.axes_at(figure, left, 0.48, 2.3, inside)
        axes.set_title(unit)
        along_epochs(axes, labelpad=1)
        ends, late = [], []
        for number, (name, runs) in enumerate(histories.items()):
            colour = INK if number == 0 else PALETTE[(number - 1) % len(PALETTE)]
            dashes = (0, (4, 1.5)) if number > len(PALETTE) else "solid"
            last = _band(axes, runs, key, factor, colour, linewidth=2.4 if number == 0 else 1.5, linestyle=dashes)
            if last is not None:
                ends.append((last, f"{shorten(name, 27)} {last:.{1 if factor == 100 else 3}f}", colour))
            # The first epochs lie so far off that the variants would fall together.
            late += [factor * row[key] for run in runs for row in run if key in row and row["epoch"] > len(run) / 4]
        if late:
            margin = 0.05 * (max(late) - min(late)) or 0.01 * factor
            axes.set_ylim(min(late) - margin, max(late) + margin)
        label_ends(axes, ends, distance=0.165 / inside, weight="normal")
    return style.save(figure, path_stem)


@style.styled()
def panels(histories: Histories, path_stem: Path, title: str) -> list[Path]:
    """Draw training and validation loss of each variant in a panel of its own, with the baseline's behind it."""
    rows = math.ceil(len(histories) / PANEL_COLUMNS)
    figure = style.titled(PANEL_COLUMNS * _WIDTH + 2 * style.SIDE_STRIP, rows * _HEIGHT + style.TITLE_STRIP, title)
    baseline, *_ = histories.values()
    colours = {"train_loss": TRAINING, "val_loss": VALIDATION}
    every = [row for runs in histories.values() for run in runs for row in run]
    top = max((row[key] for row in every for key in colours if key in row), default=1)
    for number, (name, runs) in enumerate(histories.items()):
        row, column = divmod(number, PANEL_COLUMNS)
        left, bottom = style.SIDE_STRIP + column * _WIDTH + 0.42, (rows - row - 1) * _HEIGHT + 0.45
        axes = style.axes_at(figure, left, bottom, _WIDTH - 0.62, _HEIGHT - 0.8)
        axes.set_title(shorten(name, 34), color=INK)
        along_epochs(axes, labelpad=1)
        if number:
            for key in colours:
                _band(axes, baseline, key, 1, MUTED, band=False, linewidth=1, linestyle=(0, (1, 1.5)))
        for key, colour in colours.items():
            _band(axes, runs, key, 1, colour, linewidth=1.8)
        axes.set_ylim(0, min(top, 1.5) * 1.03)
    return style.save(figure, path_stem)


def _band(
    axes: Axes, runs: Sequence[History], key: str, factor: float, colour: str, *, band: bool = True, **line: object
) -> float | None:
    """Draw the mean over runs and a band of one standard deviation; return the last mean, if there is any."""
    rows = [row for run in runs for row in run if key in row]
    if not rows:
        return None
    epochs = sorted({row["epoch"] for row in rows})
    values = [[factor * row[key] for row in rows if row["epoch"] == epoch] for epoch in epochs]
    means = np.array([np.mean(part) for part in values])
    spread = np.array([np.std(part, ddof=1) if len(part) > 1 else 0.0 for part in values])
    dots = {"marker": "o", "markersize": 3} if len(epochs) == 1 else {}
    axes.plot(epochs, means, color=colour, solid_capstyle="round", **line, **dots)
    if band and spread.any():
        axes.fill_between(epochs, means - spread, means + spread, color=colour, alpha=0.18, linewidth=0)
    return float(means[-1])
