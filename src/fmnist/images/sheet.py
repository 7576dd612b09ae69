"""Draws a contact sheet: each picture beside what a model saw of it, enlarged pixel by pixel, with lines of text."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fmnist.images.recipe import picture

TILE = 112  # the least height or width of an enlarged picture, in pixels
MAX_PICTURES = 500
_ACROSS, _GAP, _LINE = 8, 12, 14  # pictures in a row, pixels between two, pixels of a line of text
_GROUND, _INK, _WARNING, _EDGE = (255, 255, 255), (40, 40, 40), (180, 60, 0), (200, 200, 200)

Caption = tuple[str, str, str]  # a name, an answer, and a warning, which is drawn in a colour


def contact_sheet(
    images: np.ndarray, captions: Sequence[Caption], originals: Sequence[Image.Image | None] | None = None
) -> bytes:
    """Return a PNG file with the first 500 pictures.

    Args:
        images: what the model saw: uint8 (N, H, W, C), at least one.
        captions: three lines for each, cut to its width.
        originals: what each was made of, to be drawn on its left; None where there is none.
    """
    images, captions = images[:MAX_PICTURES], captions[:MAX_PICTURES]
    _, height, width, _ = images.shape
    factor = max(1, -(-TILE // min(height, width)))
    size = (width * factor, height * factor)
    pairs = [
        [
            *([_fitted(original, size)] if originals else []),
            picture(image).resize(size, 0),
        ]
        for image, original in zip(images, originals or [None] * len(images), strict=False)
    ]
    many = len(pairs[0])
    step_x, step_y = many * size[0] + _GAP, size[1] + 3 * _LINE + _GAP
    columns = min(_ACROSS // many, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        left, top = _GAP + number % columns * step_x, _GAP + number // columns * step_y
        draw.rectangle((left - 1, top - 1, left + many * size[0], top + size[1]), outline=_EDGE)
        for place, tile in enumerate(pair):
            sheet.paste(tile, (left + place * size[0], top))
        for place, line in enumerate(caption):
            text = line.encode("latin-1", "replace").decode("latin-1")  # all that the smallest font has
            while text and font.getlength(text) > many * size[0]:
                text = text[:-1]
            where = (left, top + size[1] + 2 + place * _LINE)
            draw.text(where, text, fill=_WARNING if place == 2 else _INK, font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _fitted(original: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """Return a picture, whole, in the middle of a white tile."""
    tile = Image.new("RGB", size, _GROUND)
    if original is not None:
        small = ImageOps.contain(original.convert("RGBA"), size)
        tile.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2), small)
    return tile
