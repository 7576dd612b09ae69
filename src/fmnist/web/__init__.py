"""Serves a model over HTTP: a REST API and a page. Start it with `serve`; all of it needs the extra `[serve]`."""

from fmnist.web.settings import Limits, Settings
from fmnist.web.workers import serve

__all__ = ["Limits", "Settings", "serve"]
