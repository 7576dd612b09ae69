"""Draws heat maps of a run's scores on corrupted images: a row a corruption, a column a strength."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba

from fmnist.report.plots import style
from fmnist.report.plots.style import INK, MISTAKE, MUTED, PAPER, SIDE_STRIP
from fmnist.text import number, shorten

_PART = 2.75  # in inches; three fit on a page
_CELL, _LEFT, _RIGHT, _BELOW, _ABOVE = 0.235, 1.12, 0.12, 0.42, 0.3
# What is shown, and whether more of it (1) or less (-1) than of clean images is coloured.
_PANELS = (
    ("Accuracy, %", "accuracy", -1),
    ("Calibration error, points", "ece", 1),
    ("Called unfamiliar, %", "unfamiliar", 1),
)


@style.styled()
def draw_robustness(result: Mapping[str, Any], path_stem: Path, title: str) -> list[Path]:
    """Draw the contents of `robustness.json`: accuracy, calibration error and, where known, what is unfamiliar."""
    clean, kinds = result["clean"], result["kinds"]
    panels = [panel for panel in _PANELS if clean[panel[1]] is not None]
    inside = _CELL * (len(kinds) + 1)
    height = style.TITLE_STRIP + _ABOVE + inside + _BELOW
    figure = style.titled(_PART * len(panels) + 2 * SIDE_STRIP, height, title, len(panels))
    for place, (name, score, sign) in enumerate(panels):
        left = SIDE_STRIP + place * _PART + _LEFT
        axes = style.axes_at(figure, left, _BELOW, _PART - _LEFT - _RIGHT, inside)
        axes.set_title(name, x=-(_LEFT - 0.05) / (_PART - _LEFT - _RIGHT))
        shares = 100 * np.array([[clean[score]] * 5, *(row[score] for row in kinds)])
        worse = sign * (shares - shares[0])
        colours = np.tile(to_rgba(MISTAKE), (*shares.shape, 1))
        colours[..., 3] = 0.7 * np.clip(worse / max(float(worse.max()), 5), 0, 1)
        colours[0] = to_rgba(MUTED, 0.15)
        axes.pcolormesh(colours, edgecolors=PAPER, linewidth=1)
        axes.set(xlim=(0, 5), ylim=(len(shares), 0), xlabel="strength")
        axes.spines.bottom.set_visible(False)
        axes.tick_params(labelcolor=INK)
        for (row, column), share in np.ndenumerate(shares):
            if row or column == 2:
                axes.text(column + 0.5, row + 0.53, number(share), size=8, color=INK, ha="center", va="center")
        names = ["none", *(shorten(row["name"], 18) for row in kinds)]
        axes.set_yticks(np.arange(len(shares)) + 0.5, names)
        axes.set_xticks(np.arange(5) + 0.5, [*"12345"])
    return style.save(figure, path_stem)
