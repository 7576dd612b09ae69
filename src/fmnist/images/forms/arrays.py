"""Turns arrays of numbers, as files of many kinds hold them, into images, uint8 (N, H, W, C), and names of classes."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import InputError
from fmnist.text import plural, some

_BLOCK = 1024  # images that are converted at a time
_CHANNELS = (1, 3)


def as_images(
    values: NDArray[np.generic], name: str, channels: str | None = None, white: float | None = None
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return images, and what was guessed about their values and their shape.

    Args:
        values: (N, H, W), (N, H, W, C), (N, C, H, W) or (N, H × W × C) with H = W; C is 1 or 3. Whole numbers from 0
            to 255, or fractions from 0 to 1 or to 255.
        name: what messages call the array.
        channels: `first` or `last`, where the shape alone would be understood otherwise.
        white: the value that is white; 0 is black.

    Returns:
        uint8 (N, H, W, C), where possible a view of the values.

    Raises:
        InputError: the values or the shape are others.
    """
    shaped, notes = shape_of(values.shape, name, channels)
    if white is None and values.dtype == np.uint8:
        return _arranged(values, *shaped), notes
    if white is None:
        white = white_of(values, name)
        notes.append(f"{values.dtype} values, of which {white:g} is taken as white (`white={white:g}`)")
    levels = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _BLOCK):
        levels[start : start + _BLOCK] = as_levels(values[start : start + _BLOCK], name, white)
    return _arranged(levels, *shaped), notes


def shape_of(shape: Sequence[int], name: str, channels: str | None) -> tuple[tuple[tuple[int, ...], bool], list[str]]:
    """Return the shape of images in which values lie, whether their channels come first, and what was guessed."""
    first = channels == "first"
    if len(shape) == 2:
        if found := square(shape[1]):
            side, number = found
            told = f"rows of {shape[1]:,} values, taken as {side}×{side} pixels"
            if number > 1:
                told += ", channel after channel" if first else ", the channels of a pixel side by side"
                told += f" (`channels='{'last' if first else 'first'}'`)"
            of_one = (number, side, side) if first else (side, side, number)
            return ((shape[0], *of_one), first), [told]
        raise InputError(f"{name}: has rows of {shape[1]:,} values; expected a square, or three times a square")
    if len(shape) == 3:
        return ((*shape, 1), False), []
    if len(shape) == 4:
        if shape[1] in _CHANNELS and (first or (channels is None and shape[3] not in _CHANNELS)):
            return (tuple(shape), True), [
                f"the channels come first, as in (N, {shape[1]}, {shape[2]}, {shape[3]}) (`channels='first'`)"
            ]
        if shape[3] in _CHANNELS and not first:
            return (tuple(shape), False), []
    known = "(N, H, W), (N, H, W, 3), (N, 3, H, W) or (N, pixels)"
    raise InputError(f"{name}: has the shape {tuple(shape)}; expected images as {known}, grey or in three channels")


def square(count: int) -> tuple[int, int] | None:
    """Return side and channels of the square that so many values fill; None where they fill none."""
    for number in _CHANNELS:
        side = math.isqrt(count // number)
        if side and side * side * number == count:
            return side, number
    return None


def white_of(values: NDArray[np.generic], name: str) -> float:
    """Return the value that is white: 1 where fractions reach up to 1, else 255."""
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name}: holds {values.dtype}; expected whole numbers from 0 to 255, or fractions")
    return 1.0 if values.dtype.kind == "f" and values.size and values.max() <= 1 else 255.0


def as_levels(values: NDArray[np.generic], name: str, white: float) -> NDArray[np.uint8]:
    """Return values from 0 to white as levels from 0 to 255, rounded."""
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name}: holds {values.dtype}; expected numbers")
    numbers = values.astype(np.float64)
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    if not (low >= 0 and high <= white):  # not a number is neither
        mend = "scale them, or say with `white` which value is white"
        raise InputError(f"{name}: holds values from {low:g} to {high:g}; expected 0 to {white:g}; {mend}")
    return np.rint(numbers * (255 / white)).astype(np.uint8)


def as_labels(values: NDArray[np.generic], name: str, names: Sequence[str] | None = None) -> list[str]:
    """Return the class of each image.

    Args:
        values: (N,) or (N, 1): whole numbers or text.
        name: what messages call the array.
        names: those that the numbers count, from 0; by default the numbers themselves are the names.

    Raises:
        InputError: the values or the shape are others, or a number has no name.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        mend = "a label an image; `labels.argmax(axis=1)` makes it of columns of 0 and 1"
        raise InputError(f"{name}: has the shape {values.shape}; expected (N,) or (N, 1), {mend}")
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind in "US":
        return [text.decode(errors="replace") if isinstance(text, bytes) else text for text in values.tolist()]
    if values.dtype.kind not in "iu":
        raise InputError(f"{name}: holds {values.dtype}; expected whole numbers or text")
    numbers = values.tolist()
    if names is None:
        return list(map(str, numbers))
    if odd := sorted({number for number in numbers if not 0 <= number < len(names)}):
        told = some([str(number) for number in odd], 3)
        raise InputError(f"{name}: {plural(len(names), 'class has a name', 'classes have names')}, but not {told}")
    return [names[number] for number in numbers]


def _arranged(levels: np.ndarray, shape: tuple[int, ...], first: bool) -> NDArray[np.uint8]:
    images = levels.reshape(shape)
    return np.moveaxis(images, 1, -1) if first else images
