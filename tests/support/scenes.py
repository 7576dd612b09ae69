"""What a camera might see: drawn things that are moved, turned and lit before a cluttered ground; and as a video."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

WIDTH, HEIGHT = 320, 240
_THINGS = {  # outlines in a square of 100, each with its colour: (form, corners, colour)
    "cup": [("rectangle", (25, 20, 68, 85), "#c8402f"), ("arc", (55, 30, 88, 70), "#c8402f"),
            ("ellipse", (25, 14, 68, 28), "#7a2218")],
    "book": [("rectangle", (15, 12, 85, 88), "#2f5fc8"), ("rectangle", (15, 12, 27, 88), "#1b3a80"),
             ("rectangle", (38, 26, 74, 40), "#e8e4d8")],
}  # fmt: skip


def scene(thing: str, rng: np.random.Generator) -> Image.Image:
    """Return a picture of a thing, RGB: a hand's breadth off the middle, up to 30° askew, lit as it happens."""
    ground = Image.new("RGB", (WIDTH, HEIGHT), _colour(rng, 90, 220))
    draw = ImageDraw.Draw(ground)
    for _ in range(8):
        left, top = rng.integers(-40, WIDTH), rng.integers(-40, HEIGHT)
        box = [int(left), int(top), int(left + rng.integers(20, 120)), int(top + rng.integers(20, 120))]
        draw.rectangle(box, fill=_colour(rng, 60, 230))
    ground = ground.filter(ImageFilter.GaussianBlur(3))
    drawn = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(drawn)
    for form, corners, colour in _THINGS[thing]:
        box = [4 * corner for corner in corners]
        if form == "arc":
            draw.arc(box, 250, 110, fill=colour, width=24)
        else:
            getattr(draw, form)(box, fill=colour)
    side = int(rng.integers(130, 200))
    drawn = drawn.rotate(rng.uniform(-30, 30), Image.Resampling.BICUBIC).resize((side, side))
    place = [int((length - side) / 2 + rng.integers(-25, 26)) for length in (WIDTH, HEIGHT)]
    ground.paste(drawn, place, drawn)
    return ImageEnhance.Brightness(ground).enhance(rng.uniform(0.7, 1.2))


def write_video(path: Path, thing: str, frames: int = 40, seed: int = 0) -> Path:
    """Write scenes of a thing as Motion JPEG, which Chromium plays again and again in place of a camera."""
    rng = np.random.default_rng([seed, *thing.encode()])
    with open(path, "wb") as file:
        for _ in range(frames):
            scene(thing, rng).save(file, "JPEG", quality=90)
    return path


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, ...]:
    return tuple(rng.integers(low, high, 3).tolist())
