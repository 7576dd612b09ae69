"""Fills in the page's templates, which escape what they show, and writes pictures into them as data."""

from __future__ import annotations

import base64
import functools
import io
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fmnist.web.page", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "png": png, "size": _size}
    return environment


def render(template: str, **values: Any) -> str:
    """Return a template of the page, filled in."""
    return _environment().get_template(template).render(**values)


def asset(name: str) -> str:
    """Return a script or style sheet of the page."""
    return files("fmnist.web.page").joinpath("assets", name).read_text("utf-8")


def percent(share: float, digits: int = 1) -> str:
    """Format a share (0 to 1) as a percentage."""
    return f"{100 * share:.{digits}f}%"


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def png(pixels: np.ndarray) -> Markup:
    """Return a picture, uint8 (H, W) or (H, W, 3), as the address of a PNG that carries itself."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return Markup("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
