"""Finds what mattered in a picture: where covering it makes a model less sure. It works with any model."""

import numpy as np

# The side of the cover, as a share of the picture's: large enough to hide a sleeve.
_SHARE = 0.22
_FACTOR = 8
# The loss of probability that is drawn in full orange, in every picture.
_FULL = 0.3


def covers(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cover a picture, uint8 (H, W, C), with black squares, one place after the other.

    Return the covered pictures, uint8 (N, H, W, C), and where each is covered, bool (N, H, W). Places that are black
    anyway are left out: nothing would change.
    """
    height, width, _ = image.shape
    side = max(2, round(_SHARE * min(height, width)))
    step = max(1, side // 3)
    rows, columns = np.arange(height)[:, None], np.arange(width)
    masks = np.array(
        [
            (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
            for top in range(1 - side + step, height, step)
            for left in range(1 - side + step, width, step)
        ]
    )
    masks = masks[(masks & (image > 0).any(axis=2)).any(axis=(1, 2))]
    return np.where(masks[..., np.newaxis], np.uint8(0), image), masks


def heat(probability: float, covered: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return how much each pixel mattered, float64 (H, W).

    That is the mean loss of probability where it was covered, 0 to 1; gains count as 0. `probability` is of the class
    that the model named, with nothing covered; `covered` (N,) of the same class with each place of `masks` covered.
    """
    drops = np.clip(probability - covered.astype(np.float64), 0, None)
    return (drops[:, None, None] * masks).sum(axis=0) / np.maximum(masks.sum(axis=0), 1)


def overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay heat over a picture, uint8 (H, W, C): the more a place mattered, the more orange it is, uint8 (8·H, 8·W, 3).

    The same loss of probability has the same colour in every picture, so that one in which nothing mattered stays as it
    is. The picture is enlarged pixel by pixel, the heat smoothly.
    """
    from PIL import Image

    from fmnist.images.recipe import picture

    size = (image.shape[1] * _FACTOR, image.shape[0] * _FACTOR)
    light = np.asarray(picture(image).resize(size, Image.Resampling.NEAREST).convert("RGB"), np.float64) / 255
    scaled = Image.fromarray((values / _FULL).astype(np.float32))
    strength = np.asarray(scaled.resize(size, Image.Resampling.BICUBIC), np.float64).clip(0, 1)[..., None]
    orange = np.array([255.0, 120.0, 0.0]) * (0.45 + 0.55 * light)
    return ((1 - strength) * 150 * light + strength * orange).clip(0, 255).astype(np.uint8)
