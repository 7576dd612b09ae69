"""A model behind HTTP: an API that holds, and a page. `serve` is the one door; all of it needs the extra `[serve]`."""

from fmnist.web.settings import Limits, Settings
from fmnist.web.workers import serve

__all__ = ["Limits", "Settings", "serve"]
