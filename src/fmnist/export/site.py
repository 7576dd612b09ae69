"""Writes the folder of format `web`: a page that answers on the device, without a server after the first load.

Its own files lie in `web/`; with them go the model, the runtime, what the page has to know, an icon, and the list of
all that, which the service worker keeps.
"""

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fmnist.evaluation.novelty import THRESHOLD
from fmnist.export.runtime import load_runtime
from fmnist.images import decoding, recipe
from fmnist.images.cutout import DOUBTS, NOTHING
from fmnist.run.directory import RunDirectory

# A garment of 8 × 8 pixels, as small as pictures are here.
_ICON = ("........", ".##..##.", "########", "#.####.#", "..####..", "..####..", "..####..", "........")
_INK, _GROUND, _ICON_PIXEL = (255, 255, 255), (0, 114, 178), 44


def prepare(
    run: RunDirectory, archive: Path | None, note: Callable[[str], None]
) -> Callable[[Path, dict[str, Any]], None]:
    """Load the runtime, as `load_runtime` does, and return `build` with it."""
    return functools.partial(build, runtime=load_runtime(archive, note))


def build(folder: Path, facts: dict[str, Any], runtime: dict[str, bytes]) -> None:
    """Write everything into the folder but the model, `model.onnx`, which is there already.

    The facts are what the model says of itself; the runtime's files come by their names.
    """
    ours = {part.name: part.read_bytes() for part in files("fmnist.export").joinpath("web").iterdir()}
    for name, content in (ours | runtime).items():
        (folder / name).write_bytes(content)
    known = facts | {"recipe": numbers(), "threshold": THRESHOLD, "working_side": decoding.WORKING_SIDE}
    known |= {"doubts": DOUBTS, "nothing": NOTHING}
    (folder / "model.json").write_text(json.dumps(known), encoding="utf-8")
    _icon().save(folder / "icon.png")
    worker, kept = folder / "service-worker.js", {}
    for path in sorted({*folder.iterdir()} - {worker}):
        # Some hosts redirect from index.html to the folder, and what was redirected cannot be kept as a page.
        address = "./" if path.name == "index.html" else path.name
        kept[address] = base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
    version = hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]
    code = worker.read_text(encoding="utf-8").replace("FILES = {};", f"FILES = {json.dumps(kept, indent=2)};", 1)
    worker.write_text(code.replace('""', f'"{version}"', 1), encoding="utf-8")


def numbers() -> dict[str, Any]:
    """Return the numbers of `fmnist.images.recipe` by their names there: the page's recipe has none of its own."""
    constants = {name: value for name, value in vars(recipe).items() if name.isupper()}
    return constants | {"SHARPEN": recipe.SHARPEN.percent}


def _icon() -> Image.Image:
    ink = np.pad([[sign == "#" for sign in row] for row in _ICON], 2)  # with an edge, since launchers cut circles out
    pixels = np.where(ink[..., np.newaxis], _INK, _GROUND).astype(np.uint8)
    return Image.fromarray(pixels.repeat(_ICON_PIXEL, axis=0).repeat(_ICON_PIXEL, axis=1))
