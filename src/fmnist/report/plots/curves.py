"""Draws the learning curves: accuracy and loss over the epochs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fmnist.report.plots.style import INK, MUTED, PART, SIDE_STRIP, TRAINING, VALIDATION, axes_at, save, styled, titled
from fmnist.run.history import History, best_epoch
from fmnist.text import number


def final_gap(history: History) -> float | None:
    """Return measured training accuracy minus validation accuracy (-1 to 1) after the last epoch, if both are there."""
    if not history or not {"train_accuracy", "val_accuracy"} <= history[-1].keys():
        return None
    return history[-1]["train_accuracy"] - history[-1]["val_accuracy"]


@styled()
def curves(
    history: History,
    path_stem: Path,
    title: str,
    *,
    trend: Sequence[tuple[float, float]] = (),
    gap_opens: int | None = None,
    turns: int | None = None,
) -> list[Path]:
    """Draw accuracy and loss over the epochs, side by side.

    Args:
        history: at least one row; any column but epoch may be missing.
        trend: (epoch, validation loss without its jitter), as the diagnosis tells it.
        gap_opens, turns: the epochs that the diagnosis names, marked in place of the best epoch.
    """
    figure = titled(2 * PART + 2 * SIDE_STRIP, 3.5, title, columns=2)
    best = best_epoch(history) if len(history) > 1 else None
    marks = {
        "accuracy": (gap_opens, "the gap opens: epoch {}") if gap_opens else (best, "best epoch: {}"),
        "loss": (turns, "validation loss turns: epoch {}") if turns else (best, "lowest validation loss: epoch {}"),
    }
    quantities = (("accuracy", "Accuracy, %", 100), ("loss", "Loss (cross-entropy)", 1))
    for place, (name, unit, factor) in enumerate(quantities):
        axes = axes_at(figure, SIDE_STRIP + place * PART + 0.42, 0.48, 2.2, 2.25)
        axes.set_title(unit, pad=18)
        along_epochs(axes)
        ends = list(_lines(axes, history, name, factor))
        if name == "loss" and trend:
            axes.plot(*zip(*trend, strict=True), color=INK, linewidth=0.8)
            ends.append((trend[-1][1], f"its trend {trend[-1][1]:.3f}", INK))
        margin = 0.02 * (len(history) - 1) or 0.5
        axes.set_xlim(history[0]["epoch"] - min(margin, 0.9), history[-1]["epoch"] + margin)  # no epoch 0
        gap = final_gap(history)
        if name == "accuracy" and gap is not None:
            pair = [history[-1][key] * 100 for key in ("train_accuracy", "val_accuracy")]
            x, across = [1.02, 1.035, 1.035, 1.02], axes.get_yaxis_transform()
            axes.plot(x, np.repeat(pair, 2), color=MUTED, linewidth=1, clip_on=False, transform=across)
            ends.append((sum(pair) / 2, f"gap {number(100 * gap, 1)} points", INK))
        label_ends(axes, ends)
        epoch, words = marks[name]
        if epoch is not None:
            _mark(axes, epoch, words.format(epoch))
    return save(figure, path_stem)


@styled()
def within_epoch(segments: Sequence[tuple[int, float]], path_stem: Path, title: str) -> list[Path]:
    """Draw the loss over the steps of one epoch.

    Args:
        segments: at least one; the steps done and the mean loss of each.
    """
    figure = titled(PART + 2 * SIDE_STRIP, 3.5, title)
    axes = axes_at(figure, SIDE_STRIP + 0.42, 0.48, 2.2, 2.25)
    axes.set_title("Loss (as minimised)")
    axes.set_xlabel("Training steps")
    axes.grid(axis="y")
    axes.plot(*zip(*segments, strict=True), color=TRAINING, linewidth=1.8, marker="o", markersize=3.5)
    last = segments[-1][1]
    label_ends(axes, [(last, f"training {last:.3f}", TRAINING)])
    return save(figure, path_stem)


def along_epochs(axes: Axes, labelpad: float = 4) -> None:
    """Count epochs below, in whole numbers."""
    axes.set_xlabel("Epoch", labelpad=labelpad)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")


def _lines(axes: Axes, history: History, name: str, factor: float) -> Iterator[tuple[float, str, str]]:
    """Draw the lines of one quantity; yield last value, label and colour of each."""
    form = "{:.1f}%" if name == "accuracy" else "{:.3f}"
    dotted = {"color": TRAINING, "alpha": 0.6, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
    for key, label, colour, style in (
        (name, "running average", MUTED, dotted),
        (f"train_{name}", f"training {form}", TRAINING, {"color": TRAINING, "linewidth": 1.8}),
        (f"val_{name}", f"validation {form}", VALIDATION, {"color": VALIDATION, "linewidth": 1.8}),
    ):
        points = [(row["epoch"], factor * row[key]) for row in history if key in row]
        if points:
            dots = {"marker": "o", "markersize": 3.5} if len(points) <= (1 if key == name else 12) else {}
            axes.plot(*zip(*points, strict=True), solid_capstyle="round", **style, **dots)
            yield points[-1][1], label.format(points[-1][1]), colour


def label_ends(axes: Axes, ends: list[tuple[float, str, str]], distance: float = 0.068, weight: str = "bold") -> None:
    """Write each (value, label, colour) right of the axes at its value, at least `distance` of their height apart."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    places = _apart([(value - low) / (high - low) for value, _, _ in ends], distance)
    for place, (_, text, colour) in zip(places, ends, strict=True):
        style = {"size": 8, "weight": "normal" if colour == MUTED else weight}
        axes.text(1.05, place, text, color=colour, va="center", transform=axes.transAxes, **style)


def _apart(places: Sequence[float], distance: float) -> list[float]:
    """Return ascending places moved as little as possible (least squares) to lie `distance` apart and from 0 to 1."""
    groups: list[list[float]] = []
    for index, place in enumerate(places):
        groups.append([place - index * distance])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    highest = max(0.0, 1 - (len(places) - 1) * distance)
    means = [min(max(float(np.mean(group)), 0.0), highest) for group in groups for _ in group]
    return [mean + index * distance for index, mean in enumerate(means)]


def _mark(axes: Axes, epoch: int, text: str) -> None:
    """Draw a quiet vertical line at an epoch, its label above the axes and inside their width."""
    axes.axvline(epoch, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    low, high = axes.get_xlim()
    share = (epoch - low) / (high - low)
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    axes.text(share, 1.015, text, color=MUTED, size=8, ha=side, va="bottom", transform=axes.transAxes)
