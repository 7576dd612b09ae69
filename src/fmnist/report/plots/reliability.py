"""Draws the reliability diagram: how often answers of a given confidence are correct."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmnist.evaluation.calibration import BINS, at_temperature, expected_calibration_error, reliability
from fmnist.evaluation.metrics import wilson_interval
from fmnist.report.plots.style import INK, MISTAKE, MUTED, TRAINING, axes_at, save, styled, titled
from fmnist.text import percent

# In inches. Each panel is as wide as the other, so that a page can take them apart.
_PANEL, _HEIGHT = 5.0, 5.25
_LEFT, _SIDE = 0.75, 3.3
_BOTTOM, _COUNTS, _BETWEEN = 0.55, 0.62, 0.12


@styled()
def draw_reliability(
    probabilities: np.ndarray, labels: np.ndarray, path_stem: Path, title: str, temperature: float | None = None
) -> list[Path]:
    """Draw accuracy over confidence in 15 bins, and under it how many images lie in each; twice with a temperature."""
    panels = [("as the model gives it", probabilities)]
    if temperature is not None:
        panels.append((f"calibrated, temperature {temperature:.3g}", at_temperature(probabilities, temperature)))
    figure = titled(_PANEL * len(panels), _HEIGHT, title)
    for number, (name, shown) in enumerate(panels):
        left = number * _PANEL + _LEFT
        low = _axes(figure, left, _BOTTOM, _COUNTS)
        high = _axes(figure, left, _BOTTOM + _COUNTS + _BETWEEN, _SIDE)
        bins = reliability(shown, labels)
        _accuracies(high, bins)
        _counts(low, bins["count"])
        error = expected_calibration_error(shown, labels)
        high.set_title(f"Accuracy, %: {name}", pad=10)
        text = f"{percent(error, 1 if error >= 0.0095 else 2)} off on average"
        high.text(0.04, 0.95, text, size=10, weight="bold", va="top", transform=high.transAxes)
    return save(figure, path_stem)


def _axes(figure: Figure, left: float, bottom: float, height: float) -> Axes:
    axes = axes_at(figure, left, bottom, _PANEL - _LEFT - 0.45, height)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.arange(6) / 5, [])
    return axes


def _accuracies(axes: Axes, bins: dict[str, np.ndarray]) -> None:
    """Draw each bin's accuracy, what it is short of the confidence or beyond it, and how sure that is."""
    axes.grid(axis="y")
    axes.set_ylim(0, 1)
    axes.set_yticks(np.arange(6) / 5, [f"{20 * step}" for step in range(6)])
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    full = bins["count"] > 0
    accuracy, confidence = bins["accuracy"][full], bins["confidence"][full]
    middles, width = (np.flatnonzero(full) + 0.5) / BINS, 0.86 / BINS
    bottom = np.minimum(accuracy, confidence)
    axes.bar(middles, bottom, width, color=TRAINING, alpha=0.3)
    axes.bar(middles, np.abs(confidence - accuracy), width, bottom, color=MISTAKE, alpha=0.45)
    axes.hlines(accuracy, middles - width / 2, middles + width / 2, color=TRAINING, linewidth=2, zorder=4)
    right = np.rint(accuracy * bins["count"][full]).astype(int)
    spans = [wilson_interval(int(hits), int(count)) for hits, count in zip(right, bins["count"][full], strict=True)]
    axes.vlines(middles, *zip(*spans, strict=True), color=INK, linewidth=0.9, zorder=5)


def _counts(axes: Axes, count: np.ndarray) -> None:
    axes.set_xticks(np.arange(6) / 5, [f"{20 * step}" for step in range(6)])
    axes.set_xlabel("Confidence, %, and the share of the images")
    share = count / count.sum()
    axes.bar((np.arange(BINS) + 0.5) / BINS, share, 0.86 / BINS, color=MUTED, alpha=0.45)
    top = float(share.max())
    axes.set_ylim(0, top)
    axes.set_yticks([0, top], ["0", percent(top, 0)])
