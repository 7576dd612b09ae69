"""Finds what mattered in a picture: where covering it makes a model less sure. It works with any model."""

import numpy as np

# The side of the cover, as a share of the picture's: large enough to hide a sleeve.
_SHARE = 0.22


def covers(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cover a picture with black squares, one place after the other.

    Args:
        image: uint8 (H, W).

    Returns:
        The covered pictures, uint8 (N, H, W), and where each is covered, bool (N, H, W). Places that are black anyway
        are left out: nothing would change.
    """
    height, width = image.shape
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
    masks = masks[(masks & (image > 0)).any(axis=(1, 2))]
    return np.where(masks, np.uint8(0), image), masks


def heat(probability: float, covered: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return how much each pixel mattered.

    Args:
        probability: of the class that the model named, with nothing covered.
        covered: of the same class, (N,), with each place covered.
        masks: bool (N, H, W), the places.

    Returns:
        float64 (H, W): the mean loss of probability where a pixel was covered, 0 to 1; gains count as 0.
    """
    drops = np.clip(probability - covered.astype(np.float64), 0, None)
    times = masks.sum(axis=0)
    return (drops[:, None, None] * masks).sum(axis=0) / np.maximum(times, 1)


def overlay(image: np.ndarray, values: np.ndarray, factor: int = 8) -> np.ndarray:
    """Lay heat over a picture: the more a place mattered, the more orange it is.

    Args:
        image: uint8 (H, W).
        values: as `heat` returns them.
        factor: by which both are enlarged, the picture pixel by pixel, the heat smoothly.

    Returns:
        uint8 (factor·H, factor·W, 3).
    """
    from PIL import Image

    size = (image.shape[1] * factor, image.shape[0] * factor)
    grey = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.NEAREST), np.float64)
    scaled = Image.fromarray((values / max(float(values.max()), 0.02)).astype(np.float32))
    strength = np.asarray(scaled.resize(size, Image.Resampling.BICUBIC), np.float64).clip(0, 1)[..., None]
    light = grey[..., None] / 255
    orange = np.array([255.0, 120.0, 0.0]) * (0.45 + 0.55 * light)
    return ((1 - strength) * 150 * light + strength * orange).clip(0, 255).astype(np.uint8)
