"""Draws learning curves as SVG: values over epochs, of one run or two. It knows nothing of runs.

Gradio's own plot was tried: it cuts off the legend of two runs, at 390 pixels after the first of four names, names the
ticks of two epochs 1, 2 and 2, and calls every plot "Vega visualization" to who cannot see it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fmnist.web.page.rendering import render

_WIDTH, _HEIGHT = 400, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, _WIDTH - 12, 12, _HEIGHT - 36


@dataclass(frozen=True)
class Line:
    """A curve: its name, its style (a class of the page's style sheet), and its points (epoch, value)."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def chart(title: str, lines: Sequence[Line], percent: bool = False) -> Markup:
    """Draw curves as a figure with a legend, empty where there is nothing to draw; with `percent` values are shares.

    Points that are not finite are left out.
    """
    finite = [(line, points) for line in lines if (points := [at for at in line.points if math.isfinite(at[1])])]
    if not finite:
        return Markup("")
    epochs, values = zip(*(point for _, points in finite for point in points), strict=True)
    first, last = min(epochs), max(max(epochs), min(epochs) + 1)
    ticks = _ticks(min(values), max(values), 4)

    def across(epoch: float) -> float:
        return round(_LEFT + (epoch - first) / (last - first) * (_RIGHT - _LEFT), 1)

    def down(value: float) -> float:
        return round(_BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (_BOTTOM - _TOP), 1)

    def told(value: float) -> str:
        return f"{100 * value:.2f}%" if percent else f"{value:.4f}"

    curves = [
        {
            "name": line.name,
            "style": line.style,
            "radius": 3 if len(points) < 40 else 1.5,
            "end": told(points[-1][1]),
            "points": [(across(epoch), down(value), f"{epoch:g}", told(value)) for epoch, value in points],
        }
        for line, points in finite
    ]
    steps = [tick for tick in _ticks(first, max(epochs), 6) if tick == int(tick) and first <= tick <= max(epochs)]
    figure = render(
        "chart.html",
        title=title,
        curves=curves,
        rows=[(down(tick), f"{100 * tick:g}%" if percent else f"{tick:g}") for tick in ticks],
        columns=[(across(tick), f"{tick:g}") for tick in steps],
        box={"width": _WIDTH, "height": _HEIGHT, "left": _LEFT, "right": _RIGHT, "bottom": _BOTTOM},
    )
    return Markup(figure)  # the template has escaped what is shown


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Return round numbers that span a range."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough)
    return [round(number * step, 10) for number in range(math.floor(low / step), math.ceil(high / step) + 1)]
