"""Builds the page with Gradio: try the model, look at its training, fetch its files, teach another one."""

import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from fmnist.errors import first_line
from fmnist.web import hosts
from fmnist.web.access import App, in_one_form
from fmnist.web.service import Service
from fmnist.web.settings import Settings

# Before Gradio is imported, which reads them then.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # else a table of all events is made after each
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# A server fetches nothing: the test pictures are shown where they lie here already.
os.environ["FMNIST_OFFLINE"] = "1"

_log = logging.getLogger("uvicorn.error")
TITLE = "fmnist"
# Events of all open pages that wait for their turn.
_QUEUE = 32
# Pages whose state is kept: what their lists offer.
_SESSIONS = 1000


def build(api: FastAPI, service: Service, settings: Settings) -> App:
    """Return the page as an application of its own: at `/`, with the exported files under `/exports/`.

    Its queue starts and ends with `api`.
    """
    import gradio
    from gradio import queueing
    from gradio.state_holder import SessionState

    from fmnist.web.page import models, teach, training, try_it
    from fmnist.web.page.rendering import asset, render
    from fmnist.web.page.runs import Runs
    from fmnist.web.page.sessions import Sessions

    served = _run_of(settings)
    runs = Runs(settings.runs_dir, settings.data_dir, served)
    name = service.predictor.metadata.get("run") or Path(settings.model).name
    teacher = teach.Teacher(service, settings) if hosts.private(settings) else None
    with gradio.Blocks(title=TITLE, analytics_enabled=False, fill_width=False) as blocks:
        facts = {"facts": runs.facts(name), "predictor": service.predictor, "teaches": teacher is not None}
        gradio.HTML(render("header.html", name=name, **facts), js_on_load=None)
        with gradio.Tabs():
            with gradio.Tab("Try it"):
                try_it.build(service)
            with gradio.Tab("Training"):
                training.build(blocks, runs, name)
            with gradio.Tab("Models"):
                models.build(blocks, runs, name)
            if teacher:
                with gradio.Tab("Teach"):
                    teach.build(service)
    blocks.queue(max_size=_QUEUE, default_concurrency_limit=4, api_open=False)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=teacher.life if teacher else None)
    if teacher:
        teacher.offer(app)
    models.offer(app, runs)
    blocks.state_session_capacity = _SESSIONS
    # For links to a page's state, which we don't offer, Gradio keeps what each page was last given: pictures of 10 MB.
    SessionState._update_value_in_config = lambda state, key, value: None
    # An event that fits none of the page's parts is no mistake of ours, and its text can have megabytes.
    queueing.traceback = SimpleNamespace(print_exc=_tell_error)
    system: Any = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    fixed: Any = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=settings.root_path or None,
        show_error=False,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size=1,
        theme=gradio.themes.Base(font=system, font_mono=fixed, primary_hue="blue", neutral_hue="slate"),
        css=asset("page.css"),
    )
    api.router.lifespan_context = app.router.lifespan_context
    return Sessions(in_one_form(app), blocks._queue, service.limits.waiting_bytes)


def _tell_error() -> None:
    error = sys.exception()
    _log.warning("an event of the page failed: %s: %s", type(error).__name__, first_line(error or ValueError()))


def _run_of(settings: Settings) -> Path | None:
    """Return the folder of the run that is served, if it is one."""
    from fmnist.errors import InputError
    from fmnist.run.directory import find_run

    path = Path(settings.model)
    if path.is_file():
        inside = path.parent.parent if path.parent.name == "exports" else path.parent
        return inside if (inside / "config.json").is_file() else None
    try:
        return find_run(settings.model, settings.runs_dir).path
    except InputError:
        return None
