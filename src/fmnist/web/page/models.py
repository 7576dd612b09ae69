"""Builds the tab with the exported files, and the route that hands them out."""

from typing import Any

import gradio
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from fmnist.export.formats import FORMATS, outdated
from fmnist.web.access import EXPORTS
from fmnist.web.page.rendering import QUIET, panel, render
from fmnist.web.page.runs import Runs


def build(blocks: gradio.Blocks, runs: Runs, served: str) -> None:
    """Put the tab's parts onto the page; whenever that is opened, the runs are looked up."""
    run = gradio.Dropdown([], label="Run")
    table = panel("models")

    def fill() -> list[Any]:
        names, first = runs.choices(served)
        return [gradio.Dropdown(names, value=first, filterable=len(names) > 8), _table(runs, first)]

    blocks.load(fill, None, [run, table], **QUIET)
    run.input(lambda name: _table(runs, name), run, table, **QUIET)
    # Only the browser knows under which address it sees us.
    here = "element.querySelector('.origin').textContent = location.origin;"
    gradio.HTML(render("api.html"), js_on_load=here, apply_default_css=False)


def _table(runs: Runs, name: str | None) -> str:
    facts = runs.facts(name)
    if facts is None:
        return render("models.html", exports=[])
    digests = [str(row.get("sha256", "")) for row in facts.exports]
    links = [f".{EXPORTS}{digest}" if runs.export(digest) else "" for digest in digests]
    rows = [row | {"link": link} for row, link in zip(facts.exports, links, strict=True)]
    return render(
        "models.html",
        run=facts.run,
        exports=rows,
        purposes={name: form.purpose for name, form in FORMATS.items()} | {"model.keras": "the run's own model"},
        shape=facts.config.get("dataset", {}).get("image_shape", ("H", "W")),
        timed="machine" in rows[0] if rows else False,
        outdated=outdated(rows),
        machine=rows[0].get("machine", {}).get("processor") if rows else "",
    )


def offer(app: FastAPI, runs: Runs) -> None:
    """Hand out exported files, each under its SHA-256: no part of the address ever becomes a path."""

    @app.get(EXPORTS + "{digest}", include_in_schema=False)
    def export(digest: str) -> FileResponse:
        found = runs.export(digest)
        if found is None:
            raise HTTPException(404)
        path, name = found
        return FileResponse(path, filename=name, media_type="application/octet-stream")
