"""Draws a contact sheet: pictures enlarged pixel by pixel, with a line of text below each."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 112  # the least height or width of an enlarged picture, in pixels
MAX_PICTURES = 500
_COLUMNS, _GAP, _TEXT = 8, 12, 16
_GROUND, _INK, _EDGE = 255, 40, 200


def contact_sheet(images: np.ndarray, captions: Sequence[str]) -> bytes:
    """Return a PNG file with the first 500 pictures, as they are, light on black: uint8 (N, H, W), at least one.

    Each has its caption, a line cut to its width.
    """
    images = images[:MAX_PICTURES]
    _, height, width = images.shape
    factor = max(1, -(-TILE // min(height, width)))
    step_x, step_y = width * factor + _GAP, height * factor + _TEXT + _GAP
    columns = min(_COLUMNS, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("L", (columns * step_x + _GAP, rows * step_y + _GAP), _GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (image, caption) in enumerate(zip(images, captions, strict=False)):
        left, top = _GAP + number % columns * step_x, _GAP + number // columns * step_y
        tile = Image.fromarray(np.ascontiguousarray(image)).resize((width * factor, height * factor), 0)
        draw.rectangle((left - 1, top - 1, left + tile.width, top + tile.height), outline=_EDGE)
        sheet.paste(tile, (left, top))
        text = caption.encode("latin-1", "replace").decode("latin-1")  # all that the smallest font has
        while text and font.getlength(text) > tile.width:
            text = text[:-1]
        draw.text((left, top + tile.height + 3), text, fill=_INK, font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
