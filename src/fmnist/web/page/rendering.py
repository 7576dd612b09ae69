"""Fills in the page's templates, which escape what they show, and writes pictures into them as data."""

import base64
import functools
import io
from importlib.resources import files
from typing import Any

import gradio
import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from fmnist.text import command_html, percent, size

QUIET: Any = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of every event of the page."""


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fmnist.web.page", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "png": png, "size": size}
    environment.filters["command"] = lambda text: Markup(command_html(text))
    return environment


def render(template: str, **values: Any) -> str:
    """Return a template of the page, filled in; a path in it may be no UTF-8."""
    return _environment().get_template(template).render(**values).encode(errors="backslashreplace").decode()


def asset(name: str) -> str:
    """Return a script or style sheet of the page."""
    return files("fmnist.web.page").joinpath("assets", name).read_text("utf-8")


def panel(name: str, content: str = "", **options: Any) -> gradio.HTML:
    """Put a part onto the page that shows what `render` returns; `name` is its id for scripts and styles."""
    return gradio.HTML(content, apply_default_css=False, elem_id=name, **{"js_on_load": None} | options)


def png(pixels: np.ndarray) -> Markup:
    """Return a picture, uint8 (H, W, C), as the address of a PNG that carries itself."""
    from fmnist.images.recipe import picture

    file = io.BytesIO()
    picture(pixels).save(file, "PNG")
    return Markup("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
