"""The pictures of a sweep: what each setting decides, its values beside the losses, the curves of all trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fmnist.report.plots import style
from fmnist.report.plots.curves import along_epochs, label_ends
from fmnist.report.plots.style import INK, MUTED, PAPER, PART, SIDE_STRIP, TRAINING, VALIDATION
from fmnist.text import loss, percent, shorten

_COLUMNS, _HEIGHT = 3, 2.5
# Losses this many times the spread of the better half above the lowest are far off, and only told from the others.
_FAR = 4.0


@dataclass(frozen=True)
class Tried:
    """One trial: its validation losses by epoch, whether it is finished, its values by setting, whether it is best."""

    losses: Mapping[int, float]
    finished: bool
    values: Mapping[str, Any]
    best: bool


@style.styled()
def importance(shares: Mapping[str, float], path_stem: Path, title: str) -> list[Path]:
    """Draw each setting's share (0 to 1) of what the loss varies by as a bar, in the order given."""
    height = style.TITLE_STRIP + 0.35 + 0.3 * len(shares)
    figure = style.titled(PART + 2 * SIDE_STRIP, height, title)
    axes = style.axes_at(figure, SIDE_STRIP + 1.5, 0.1, PART - 2.1, 0.3 * len(shares))
    axes.barh(range(len(shares)), list(shares.values()), height=0.55, color=TRAINING)
    for place, share in enumerate(shares.values()):
        axes.text(share + 0.02, place, percent(share, 0), color=INK, va="center", size=8.5)
    axes.set_yticks(range(len(shares)), [shorten(name.replace("_", " "), 24) for name in shares], color=INK)
    axes.set_xlim(0, max(shares.values()) * 1.02)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return style.save(figure, path_stem)


@style.styled()
def slices(trials: Sequence[Tried], logarithmic: Mapping[str, bool], path_stem: Path, title: str) -> list[Path]:
    """Draw for each setting the values that were tried against the last validation loss, a panel a setting.

    Finished trials are full dots, the best one is larger; the others are empty dots.

    Args:
        trials: all with at least one loss.
        logarithmic: the settings, and whether each is drawn over its orders of magnitude.
        path_stem: of the files.
        title: of the figure.
    """
    rows = math.ceil(len(logarithmic) / _COLUMNS)
    size = _COLUMNS * PART + 2 * SIDE_STRIP, rows * _HEIGHT + style.TITLE_STRIP
    figure = style.titled(*size, title, _COLUMNS, len(logarithmic))
    low, high = _span([trial for trial in trials if trial.finished])
    for number, (name, log) in enumerate(logarithmic.items()):
        row, column = divmod(number, _COLUMNS)
        left, bottom = SIDE_STRIP + column * PART + 0.5, (rows - row - 1) * _HEIGHT + 0.35
        axes = style.axes_at(figure, left, bottom, PART - 0.75, _HEIGHT - 0.75)
        axes.set_title(name.replace("_", " "), color=INK)
        axes.grid(axis="y")
        places, labels = _places([trial.values.get(name) for trial in trials])
        for trial, place in sorted(zip(trials, places, strict=True), key=lambda pair: (pair[0].finished, pair[0].best)):
            value = min(list(trial.losses.values())[-1], high)
            colour, size_ = (VALIDATION, 9) if trial.best else (TRAINING, 6) if trial.finished else (MUTED, 4.5)
            edge, fill = (PAPER, colour) if trial.finished else (colour, PAPER)
            axes.plot(place, value, "o", markersize=size_, markeredgecolor=edge, markerfacecolor=fill, clip_on=False)
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if labels:
            axes.set_xticks(range(len(labels)), [shorten(label, 12) for label in labels])
            axes.set_xlim(-0.5, len(labels) - 0.5)
        elif log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            between = (1.0, 3.0) if max(places) < 200 * min(places) else (1.0,)
            axes.xaxis.set_major_locator(LogLocator(10, between, numticks=6))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            whole = all(isinstance(trial.values.get(name), int) for trial in trials)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
    return style.save(figure, path_stem)


@style.styled()
def curves(trials: Sequence[Tried], path_stem: Path, title: str) -> list[Path]:
    """Draw the validation loss of all trials after each epoch, and again those of the better ones, enlarged.

    Those that were stopped end in a cross.
    """
    figure = style.titled(2 * PART + 2 * SIDE_STRIP, 3.5, title, columns=2)
    for place, name in enumerate(("All trials", "Enlarged")):
        axes = style.axes_at(figure, SIDE_STRIP + place * PART + 0.5, 0.48, PART - 1.35, 2.25)
        axes.set_title(name)
        along_epochs(axes)
        for trial in sorted(trials, key=lambda one: (one.finished, one.best)):
            colour, width = (VALIDATION, 2.4) if trial.best else (TRAINING, 1.2) if trial.finished else (MUTED, 0.9)
            epochs, losses = list(trial.losses), list(trial.losses.values())
            dots = {"marker": "o", "markersize": 4} if len(epochs) == 1 and trial.finished else {}
            axes.plot(epochs, losses, color=colour, linewidth=width, alpha=1 if trial.best else 0.75, **dots)
            if not trial.finished:
                axes.plot(epochs[-1], losses[-1], "x", color=MUTED, markersize=5)
    axes.set_ylim(*_span([trial for trial in trials if trial.finished]))
    last = next(list(trial.losses.values())[-1] for trial in trials if trial.best)
    label_ends(axes, [(last, f"best {loss(last)}", VALIDATION)])
    return style.save(figure, path_stem)


def _span(trials: Sequence[Tried]) -> tuple[float, float]:
    """Return the losses between which the better trials lie, with a margin; what is far off is left out."""
    values = np.sort([value for trial in trials for value in trial.losses.values()])
    ends = np.sort([list(trial.losses.values())[-1] for trial in trials])
    low = float(values[0])
    high = min(float(values[-1]), low + _FAR * max(float(np.median(ends)) - low, 0.05 * low))
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _places(values: Sequence[Any]) -> tuple[Sequence[float], list[str]]:
    """Return where values lie on the axis, and the labels of choices; none for numbers."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return values, []
    names = [",".join(map(str, one)) if isinstance(one, list | tuple) else str(one) for one in values]
    names = [{"True": "yes", "False": "no"}.get(name, name) for name in names]
    labels = sorted(set(names))
    return [labels.index(name) for name in names], labels
