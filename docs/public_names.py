"""Lets a page of the documentation write `::: fmnist.train`, wherever in the package `train` is defined.

Public names load on first use (`fmnist/__init__.py`), so a tool that reads source alone does not find them.
"""

import re

import fmnist


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the module that defines it into each line that asks for the description of a public name."""
    return re.sub(r"^::: fmnist\.(\w+)$", _described, markdown, flags=re.MULTILINE)


def _described(match: re.Match[str]) -> str:
    name = match[1]
    home = f"fmnist.{fmnist._HOMES[name]}.{name}"
    return f"::: {home}\n    options:\n      heading: fmnist.{name}\n      toc_label: {name}"
