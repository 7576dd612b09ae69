"""Learning curves as SVG: lines over epochs, of one run or two. Knows nothing of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 400, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 36


@dataclass(frozen=True)
class Line:
    """A curve: its name, its style (a class of the page's style sheet), and its points (epoch, value)."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def chart(title: str, lines: Sequence[Line], percent: bool = False) -> Markup:
    """Draw curves in the page's colours.

    Args:
        title: what is drawn.
        lines: the curves; points that are no numbers are left out.
        percent: whether the values are shares.

    Returns:
        A figure with a legend; empty where there is nothing to draw.
    """
    lines = [Line(line.name, line.style, [point for point in line.points if math.isfinite(point[1])]) for line in lines]
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup("")
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    ticks_y = _ticks(min(ys), max(ys), 4)
    ticks_x = [tick for tick in _ticks(min(xs), max(xs), 6) if tick == int(tick) and min(xs) <= tick <= max(xs)]
    low, high = min(ticks_y[0], min(ys)), max(ticks_y[-1], max(ys))
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first)
        up = (y - low) / (high - low)
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    parts = []
    for tick in ticks_y:
        _, y = place(first, tick)
        label = f"{100 * tick:g}%" if percent else f"{tick:g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{label}</text>')
    for tick in ticks_x:
        x, _ = place(tick, low)
        parts.append(f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 2}" text-anchor="middle">epoch</text>')
    for line in lines:
        places = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="curve {line.style}" points="{path}"/>')
        radius = 3 if len(places) < 40 else 1.5
        for (x, y), (epoch, value) in zip(places, line.points, strict=True):
            about = f"<title>{escape(line.name)}, epoch {epoch:g}: {_value(value, percent)}</title>"
            parts.append(f'<circle class="{line.style}" cx="{x}" cy="{y}" r="{radius}">{about}</circle>')
    ends = "; ".join(f"{line.name} ends at {_value(line.points[-1][1], percent)}" for line in lines)
    about = escape(f"{title}: {ends}")
    legend = "".join(f'<li class="{line.style}">{escape(line.name)}</li>' for line in lines)
    return Markup(
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{about}">{"".join(parts)}</svg>'
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _value(value: float, percent: bool) -> str:
    return f"{100 * value:.2f}%" if percent else f"{value:.4f}"


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Return round numbers that span a range."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough)
    start = math.floor(low / step)
    return [round(number * step, 10) for number in range(start, math.ceil(high / step) + 1)]
