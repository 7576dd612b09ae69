"""Renders the HTML pages' templates, values as text, and plots in the page's own colours."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from fmnist.report.plots import style
from fmnist.text import command_html, percent, plural, size

# The plots' colours give way to the page's, which are others on a dark screen.
_NAMES = ("paper", "ink", "muted", "faint", "training", "validation")
_THEME = {getattr(style, name.upper()): f"var(--{name})" for name in _NAMES}


def page_environment() -> Environment:
    """Return what renders the package's templates, with the filters that they use."""
    loader = PackageLoader("fmnist.report")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "plural": plural, "size": size, "plain": _plain, "cell": _cell}
    environment.filters["command"] = lambda text: Markup(command_html(text))
    environment.filters |= {
        "unbroken": lambda text: text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"),
        "words": lambda name: name.replace("_", " "),
    }
    return environment


def _plain(value: Any) -> str:
    """Format any JSON value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)


def _cell(value: float, column: str) -> str:
    """Format a cell of the history."""
    if "accuracy" in column:
        return percent(value, 2)
    return f"{value:.4f}" if "loss" in column else f"{value:.1f}" if column == "seconds" else _plain(value)


def picture(path: Path) -> Markup | None:
    """Return a plot in the page's colours as an SVG element for each of its parts; a narrow page has them in a column.

    The path is of an SVG file that `plots` drew; None comes back where there is none.
    """
    if not path.is_file():
        return None
    _, start, rest = path.read_text(encoding="utf-8").partition("<svg ")
    size = re.search(r'width="[\d.]+pt" height="[\d.]+pt" viewBox="0 0 ([\d.]+) ([\d.]+)"', rest)
    name = re.search(r'id="(columns-(\d+)-parts-(\d+))"', rest)
    if not start or size is None or name is None:
        return None
    figure, columns, parts = name[1], int(name[2]), int(name[3])
    for colour, variable in _THEME.items():
        rest = rest.replace(colour, variable)
    # Ids are unique in a file; on the page five files meet.
    rest = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", rest)
    side, top = 72 * style.SIDE_STRIP, 72 * style.TITLE_STRIP
    width, height = (float(size[1]) - 2 * side) / columns, (float(size[2]) - top) / -(-parts // columns)
    corners = [(side + part % columns * width, top + part // columns * height) for part in range(parts)]
    first, *others = (f'viewBox="{x:.1f} {y:.1f} {width:.1f} {height:.1f}"' for x, y in corners)
    drawing = start + rest.replace(size[0], first, 1)
    drawing += "".join(f'<svg {box}><use href="#{path.stem}-{figure}"/></svg>' for box in others)
    limits = f"--columns:{columns};--part:{width / 12:.2f}rem"  # 12 points are 16 pixels
    # Our own drawing; and the page's policy lets no script run.
    return Markup(f'<div class="panels" style="{limits}" aria-hidden="true">{drawing}</div>')
