"""Draws a study's pictures: what each variant changes, with intervals, and the curves of all, mean and band."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist.report.plots.curves import label_ends
from fmnist.report.plots.style import (
    FAINT,
    INK,
    MUTED,
    SIDE_STRIP,
    TITLE_STRIP,
    TRAINING,
    VALIDATION,
    headline,
    save,
    styled,
)
from fmnist.text import shorten

# Okabe and Ito's colours and four more, in tones that show on white and on dark; from the eighth on lines are dashed.
PALETTE = ("#0072b2", "#d65a00", "#009e73", "#b8579a", "#a88400", "#3d9fd4", "#7a68c4", "#8c6d4f")
PANEL_COLUMNS = 3
_PANEL = (3.3, 2.45)  # inches

# A run's history: rows as `read_history` returns them.
Runs = Sequence[Sequence[Mapping[str, float]]]


@dataclass(frozen=True)
class Effect:
    """A difference to the baseline, in points, and half of its 95% interval, if it has one."""

    name: str
    value: float
    margin: float | None


@styled()
def effects(
    panels: Mapping[str, Sequence[Effect]], better: Mapping[str, int], path_stem: Path, title: str
) -> list[Path]:
    """Draw differences to the baseline as dots with intervals, a row a variant, a panel a quantity.

    Args:
        panels: the variants' differences by the panel's title.
        better: by the panel's title 1 if more is better, -1 if less is; decides the colour of what is measurable.
    """
    rows = max(len(found) for found in panels.values())
    height = TITLE_STRIP + 0.75 + 0.3 * rows
    figure = Figure(figsize=(10, height))
    headline(figure, title)
    width = (10 - 2 * SIDE_STRIP) / len(panels)
    for number, (name, found) in enumerate(panels.items()):
        left = SIDE_STRIP + number * width + 2.05
        axes = figure.add_axes((left / 10, 0.42 / height, (width - 2.25) / 10, 0.3 * rows / height))
        axes.set_title(name, loc="left", size=9, color=MUTED, pad=6)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        _quiet(axes, "x")
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
    return save(figure, path_stem)


@styled()
def overlay(histories: Mapping[str, Runs], path_stem: Path, title: str) -> list[Path]:
    """Draw validation accuracy and validation loss of all variants over each other, the first one strongest.

    Args:
        histories: of the runs, by variant, the baseline first.
    """
    height = max(4.2, TITLE_STRIP + 1 + 0.19 * len(histories))
    figure = Figure(figsize=(10, height))
    headline(figure, title)
    for left, key, unit, factor in (
        (0.45, "val_accuracy", "Validation accuracy, %", 100),
        (5.35, "val_loss", "Validation loss", 1),
    ):
        inside = height - TITLE_STRIP - 0.8
        axes = figure.add_axes((left / 10, 0.48 / height, 2.3 / 10, inside / height))
        _epochs(axes, unit)
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
    return save(figure, path_stem)


@styled()
def panels(histories: Mapping[str, Runs], path_stem: Path, title: str) -> list[Path]:
    """Draw training and validation loss of each variant in a panel of its own, with the baseline's behind it.

    Args:
        histories: of the runs, by variant, the baseline first.
    """
    rows = math.ceil(len(histories) / PANEL_COLUMNS)
    size = (PANEL_COLUMNS * _PANEL[0] + 2 * SIDE_STRIP, rows * _PANEL[1] + TITLE_STRIP)
    figure = Figure(figsize=size)
    headline(figure, title)
    baseline = next(iter(histories.values()))
    keys = (("train_loss", TRAINING), ("val_loss", VALIDATION))
    top = max(
        (row[key] for runs in histories.values() for run in runs for row in run for key, _ in keys if key in row),
        default=1,
    )
    for number, (name, runs) in enumerate(histories.items()):
        row, column = divmod(number, PANEL_COLUMNS)
        left = SIDE_STRIP + column * _PANEL[0] + 0.42
        bottom = size[1] - TITLE_STRIP - (row + 1) * _PANEL[1] + 0.45
        axes = figure.add_axes(
            (left / size[0], bottom / size[1], (_PANEL[0] - 0.62) / size[0], (_PANEL[1] - 0.8) / size[1])
        )
        _epochs(axes, shorten(name, 34), colour=INK)
        if number:
            for key, _ in keys:
                _band(axes, baseline, key, 1, MUTED, band=False, linewidth=1, linestyle=(0, (1, 1.5)))
        for key, colour in keys:
            _band(axes, runs, key, 1, colour, linewidth=1.8)
        axes.set_ylim(0, min(top, 1.5) * 1.03)
    return save(figure, path_stem)


def _band(
    axes: Axes, runs: Runs, key: str, factor: float, colour: str, *, band: bool = True, **style: object
) -> float | None:
    """Draw the mean over runs and a band of one standard deviation; return the last mean, if there is any."""
    epochs = sorted({int(row["epoch"]) for run in runs for row in run if key in row})
    values = [
        [factor * row[key] for run in runs for row in run if row["epoch"] == epoch and key in row] for epoch in epochs
    ]
    if not epochs:
        return None
    means = np.array([np.mean(part) for part in values])
    spread = np.array([np.std(part, ddof=1) if len(part) > 1 else 0.0 for part in values])
    dots = {"marker": "o", "markersize": 3} if len(epochs) == 1 else {}
    axes.plot(epochs, means, color=colour, solid_capstyle="round", **style, **dots)
    if band and spread.any():
        axes.fill_between(epochs, means - spread, means + spread, color=colour, alpha=0.18, linewidth=0)
    return float(means[-1])


def _epochs(axes: Axes, title: str, colour: str = MUTED) -> None:
    axes.set_title(title, loc="left", size=9, color=colour, pad=6)
    axes.set_xlabel("Epoch", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    _quiet(axes, "y")


def _quiet(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.tick_params(length=0)
