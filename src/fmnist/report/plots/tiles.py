"""Draws sheets of a data set's images: samples, and the most confident mistakes."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fmnist.report.plots.style import DPI, INK, LEFT, MUTED, SIDE_STRIP, TITLE_STRIP, VALIDATION, save, styled, titled
from fmnist.text import percent, shorten


@styled()
def sample_sheet(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path_stem: Path, title: str, columns: int = 10
) -> list[Path]:
    """Draw all images, uint8 (N, H, W, C), at least one, in rows, each above the name of its label, integer (N,)."""
    captions = [[(class_names[label], MUTED)] for label in labels]
    return save(_tiles(images, captions, title, columns, size=0.75), path_stem)


@styled()
def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    path_stem: Path,
    *,
    count: int = 24,
) -> list[Path]:
    """Draw the wrongly classified images of which the model was surest, `count` at most."""
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    if not len(wrong):
        figure = Figure(figsize=(7, 1))
        text = f"No mistakes: all {len(labels):,} images are classified correctly."
        figure.text(LEFT / 7, 0.3, text, size=11, va="center")
        return save(figure, path_stem)
    surest = wrong[np.argsort(-confidences[wrong], kind="stable")][:count]
    guesses = [f"{class_names[predictions[index]]}, {percent(confidences[index], 0)}" for index in surest]
    captions = [
        [(guess, VALIDATION), (f"is: {class_names[labels[index]]}", INK)]
        for guess, index in zip(guesses, surest, strict=True)
    ]
    title = f"The {len(surest)} most confident of {len(wrong):,} mistakes" if len(surest) > 1 else "The only mistake"
    return save(_tiles(images[surest], captions, title, 6, size=1.1), path_stem)


def _tiles(
    images: np.ndarray, captions: Sequence[Sequence[tuple[str, str]]], title: str, columns: int, *, size: float
) -> Figure:
    """Compose images, each with lines of (text, colour) below, in one picture: axes for each would take far longer.

    An image is about `size` inches wide. Its pixels become squares of whole dots, those of a grey one
    dark on light. A part is half a row,
    where that goes, so that a narrow page has the images in their order.
    """
    number, height, width, channels = images.shape
    dots = max(1, round(size * DPI / width))  # a pixel of the picture, in dots
    inch = DPI / dots  # in pixels of the picture
    step_x = width + round(2 * (LEFT - SIDE_STRIP) * inch)  # so that a page can cut between two columns
    step_y = round(height + (0.18 + 0.16 * len(captions[0])) * inch)
    top, side = math.ceil(TITLE_STRIP * inch), round(LEFT * inch)
    shape = top + -(-number // columns) * step_y, 2 * side + (columns - 1) * step_x + width
    halves = 2 - columns % 2
    figure = titled(shape[1] / inch, shape[0] / inch, title, halves, -(-number // (columns // halves)))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, shape[1]), ylim=(shape[0], 0))
    axes.axis("off")
    picture = np.zeros((*shape, 4), np.uint8)
    picture[..., :3] = [round(255 * part) for part in to_rgb(INK)]
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        x, y = side + index % columns * step_x, top + index // columns * step_y
        place = picture[y : y + height, x : x + width]
        if channels == 3:
            place[..., :3], place[..., 3] = image, 255
        else:
            place[..., 3] = 12 + image[..., 0] * (243 / 255)  # 12: the edge of an image shows
        for line, (text, colour) in enumerate(lines):
            below = y + height + (0.05 + 0.155 * line) * inch
            axes.text(x, below, shorten(text, round(step_x / inch * 72 / 4.6)), color=colour, size=8, va="top")
    axes.imshow(picture, interpolation="none", extent=(0, shape[1], shape[0], 0), aspect="auto")
    return figure
