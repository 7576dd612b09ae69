"""Writes the description of the API, an OpenAPI document, as a page for people: no script, nothing from elsewhere."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from fmnist.text import command_html


def page(description: dict[str, Any], address: str, server: str) -> str:
    """Return the page; `address` is the description's, `server` the server's, which the reader's commands ask."""
    environment = Environment(
        loader=PackageLoader("fmnist.web", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"marked": _marked, "kind": _kind, "command": lambda text: Markup(command_html(text))}
    return environment.get_template("reference.html").render(
        api=description, address=address, server=server.rstrip("/")
    )


def _marked(text: str) -> Markup:
    """Set what stands between backticks as code."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def _kind(schema: dict[str, Any]) -> Markup:
    """Say of what type a value is, and within which bounds."""
    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return Markup(" or ").join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    low, high = (schema.get(f"{end}Items", schema.get(f"{end}imum")) for end in ("min", "max"))
    span = (
        ""
        if low is None
        else f"{low:g}"
        if low == high
        else f"from {low:g}"
        if high is None
        else f"{low:g} to {high:g}"
    )
    if schema.get("type") == "array":
        return Markup("list of {}{}").format(f"{span} × " if span else "", _kind(schema["items"]))
    return escape(f"{schema.get('format', schema.get('type', 'anything'))} {span}".rstrip())
