"""Builds the tab with the exported files, and the route that hands them out."""

from typing import Any

import gradio
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from fmnist.data.shape import full
from fmnist.export.formats import FORMATS, outdated
from fmnist.run import results
from fmnist.run.directory import RunDirectory
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
    rows = [row | {"link": _link(facts.run, row)} for row in facts.exports]
    return render(
        "models.html",
        run=facts.run,
        exports=rows,
        purposes={name: form.purpose for name, form in FORMATS.items()} | {"model.keras": "the run's own model"},
        shape=full(facts.config.get("dataset", {}).get("image_shape", ("H", "W", "C"))),
        timed="machine" in rows[0] if rows else False,
        outdated=outdated(rows),
        machine=rows[0].get("machine", {}).get("processor") if rows else "",
    )


def _link(run: RunDirectory, row: dict[str, Any]) -> str:
    """Return under which address an exported file is handed out; empty for Keras's row, a folder, a changed file."""
    path = results.exported_path(run, row) if "file" in row else None
    return f".{EXPORTS}{row['sha256']}" if path and path.is_file() else ""


def offer(app: FastAPI, runs: Runs) -> None:
    """Hand out exported files, each under its SHA-256: no part of the address ever becomes a path."""

    @app.get(EXPORTS + "{digest}", include_in_schema=False)
    def export(digest: str) -> FileResponse:
        found = runs.export(digest)
        if found is None:
            raise HTTPException(404)
        path, name = found
        return FileResponse(path, filename=name, media_type="application/octet-stream")
