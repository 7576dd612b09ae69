"""The one form of images, uint8 (N, H, W, C): C is 1 for grey, 3 for colour. Files and callers may leave grey's out."""

from collections.abc import Iterable

import numpy as np

from fmnist.errors import InputError

Shape = tuple[int, int, int]
"""Height, width and channels of an image."""


def full(shape: Iterable[int]) -> Shape:
    """Return height, width and channels of a shape that a file or a caller gives, (H, W) or (H, W, C)."""
    height, width, channels = (*shape, 1)[:3]
    return height, width, channels


def stored(shape: Shape) -> list[int]:
    """Return a shape as files have it: [H, W] of grey images, as earlier versions wrote it, [H, W, 3] of colour."""
    return list(shape[:2] if shape[2] == 1 else shape)


def told(shape: Shape) -> str:
    """Return a shape in words: `28×28 pixels`, `28×28 pixels in colour`."""
    return f"{shape[0]}×{shape[1]} pixels{' in colour' if shape[2] == 3 else ''}"


def with_channels(images: np.ndarray) -> np.ndarray:
    """Return images, (N, H, W) or (N, H, W, C), with their channels; anything else as it is."""
    return images[..., np.newaxis] if images.ndim == 3 else images


def without_channel(images: np.ndarray) -> np.ndarray:
    """Return images, (N, H, W, C) or (H, W, C), without the channel of grey ones, as IDX files and Pillow have them."""
    return images[..., 0] if images.shape[-1] == 1 else images


def fitting(images: np.ndarray, shape: Shape, name: str) -> np.ndarray:
    """Return images of a shape as uint8 (N, H, W, C); one of them may come alone, and grey ones without their channel.

    Raises:
        InputError: they are others; it calls them by `name`.
    """
    found = images
    if images.shape in (shape, shape[:2]):
        images = images[np.newaxis]
    images = with_channels(images)
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        expected = f"uint8 (N, {', '.join(map(str, stored(shape)))}), 0 to 255, as the model takes it"
        raise InputError(f"{name}: holds {found.dtype} {found.shape}; expected {expected}")
    return images
