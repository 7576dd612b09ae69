"""Builds the tab on which a user gives a picture to the model."""

import base64
import functools
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import gradio
import numpy as np

from fmnist.data.sources import OFFICIAL_CLASS_NAMES
from fmnist.errors import FmnistError, InputError
from fmnist.images.cutout import DOUBTS, NOTHING
from fmnist.predictor.predictor import UNTOLD
from fmnist.web.page import heat
from fmnist.web.page.rendering import QUIET, asset, panel, png, render
from fmnist.web.service import Service

# A class that is less probable than this is "unsure", in words.
_SURE, _LIKELY = 0.9, 0.6
_STRANGER = "It is unlike anything the model was trained on, and the model must name one of its classes all the same."
# A place whose covering takes less than this from the probability is said not to matter.
_MATTERS = 0.02


def build(service: Service) -> None:
    """Put the tab's parts onto the page."""
    with gradio.Row(equal_height=False, elem_classes="halves"):
        template = render("pad.html", examples=_examples(service), limit=service.limits.body_bytes)
        pad = panel("pad", html_template=template, js_on_load=asset("pad.js"))
        result = panel("result", render("answer.html", rows=[], count=len(service.predictor.class_names)))

    pad.submit(functools.partial(look_at, service), pad, result, trigger_mode="always_last", **QUIET)


async def look_at(service: Service, content: str | None) -> AsyncIterator[str]:
    """Yield what the page shows for a picture, a data address: the answer, and then the answer with what mattered."""
    try:
        image, cut_out = await service.read(picture_bytes(content, service.limits.body_bytes), "this picture")
        *shares, unfamiliarity = (await service.batcher.answer(image[np.newaxis]))[0]
        probabilities = np.array(shares)
        strange = service.threshold is not None and unfamiliarity > service.threshold
        facts = _facts(service, image, probabilities, strange) | {
            "doubts": [(words.capitalize(), DOUBTS[words][-1]) for words in cut_out.doubts],
            "nothing": NOTHING in cut_out.doubts,
        }
        yield render("answer.html", **facts, mattered=None)
        covered, masks = heat.covers(image)
        label = int(probabilities.argmax())
        values = np.zeros(image.shape[:2])
        if len(covered):
            answers = await service.batcher.answer(covered)
            values = heat.heat(float(probabilities[label]), answers[:, label], masks)
        reason = "" if values.max() >= _MATTERS else "What mattered: no single place; covering any changes nothing"
        yield render("answer.html", **facts, mattered=heat.overlay(image, values), reason=reason)
    except FmnistError as error:
        yield render("answer.html", problem=str(error))


def picture_bytes(content: str | None, limit: int) -> bytes:
    """Return the file in a data address; an `InputError` if it is no picture, or larger than `limit` bytes."""
    kind, _, data = (content or "").partition(";base64,")
    try:
        if not kind.startswith("data:image/"):
            raise ValueError
        picture = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InputError("this is no picture; expected PNG, JPEG, WebP, GIF, BMP or TIFF") from error
    if len(picture) > limit:
        raise InputError(f"this picture has more than {limit / 1e6:.0f} MB; make it smaller first")
    return picture


def _facts(service: Service, image: np.ndarray, probabilities: np.ndarray, strange: bool) -> dict[str, Any]:
    names, order = service.predictor.class_names, np.argsort(-probabilities, kind="stable")
    rows = [{"name": names[label], "share": float(probabilities[label])} for label in order]
    best, second, *_ = rows
    if strange:
        mood = "Of the classes that the model knows, this one fits best."
    elif best["share"] >= _SURE:
        mood = "The model is sure."
    elif best["share"] >= _LIKELY:
        mood = f"Likely; the next guess is {second['name']}."
    else:
        mood = f"The model is torn between {best['name']} and {second['name']}."
    told = {"stranger": _STRANGER if strange else "", "untold": UNTOLD if service.threshold is None else ""}
    return {"rows": rows, "seen": image, "shape": image.shape, "mood": mood, **told}


def _examples(service: Service) -> list[tuple[str, str]]:
    """Return a picture of each class, where the classes are Fashion-MNIST's: training images, kept in the package."""
    from PIL import Image

    names, (height, width, channels) = service.predictor.class_names, service.predictor.image_shape
    if names != OFFICIAL_CLASS_NAMES:
        return []
    with files("fmnist.web.page").joinpath("examples.png").open("rb") as file:
        strip = np.asarray(Image.open(file))[..., np.newaxis]
    if strip.shape != (height, width * len(names), channels):
        return []
    return [(name, png(strip[:, width * k : width * (k + 1)])) for k, name in enumerate(names)]
