"""Corrupts images in sixteen ways, each at five strengths. A way is a function here and a row of `CORRUPTIONS`.

They follow D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", 2019, and N. Mu and J. Gilmer, "MNIST-C", 2019; lengths are shares of the image, so that any size will
do. Knows no model and no files.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from fmnist.errors import InputError, did_you_mean
from fmnist.images.recipe import picture

STRENGTHS = (1, 2, 3, 4, 5)
_TOGETHER = 2**22  # values that are held as floats at a time
_DROP, _WATER = 1 / 24, 170  # a drop's size as a share of the image, and its level


@dataclass(frozen=True)
class Corruption:
    """A row of the table: one way in which an image is spoilt."""

    name: str
    unit: str  # what its amounts are
    amounts: tuple[float, float, float, float, float]  # of strengths 1 to 5
    # Takes images, float32 (N, H, W, C), 0 to 255, and an amount, and returns as many numbers; it draws from the
    # generator for each image.
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def corrupt(images: np.ndarray, name: str, strength: int, seed: int = 0) -> np.ndarray:
    """Return corrupted copies of images; the same arguments give the same copies.

    What is drawn for an image, such as the direction of a shift, depends on the seed, the name and the image's place,
    and is the same at every strength.

    Args:
        images: uint8 (N, H, W, C), 0 to 255.
        name: of a row of `CORRUPTIONS`, such as `fog`.
        strength: 1 to 5.
        seed: 0 or more.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        InputError: there is no such corruption or strength.
    """
    (row,) = chosen([name])
    if strength not in STRENGTHS:
        raise InputError(f"the strength is {strength}; expected 1, 2, 3, 4 or 5")
    step, result = max(1, _TOGETHER // max(1, images[:1].size)), np.empty_like(images)
    for start in range(0, len(images), step):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), start])
        part = images[start : start + step].astype(np.float32)
        result[start : start + step] = np.rint(row.apply(part, row.amounts[strength - 1], rng)).clip(0, 255)
    return result


def chosen(names: Iterable[str]) -> list[Corruption]:
    """Return the rows of names, in the table's order; all of them where there is no name.

    Raises:
        InputError: a name is unknown.
    """
    wanted, known = list(names), {row.name: row for row in CORRUPTIONS}
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise InputError(f"there is no corruption '{name}'{hint} (corruptions: {', '.join(known)})")
    return [row for row in CORRUPTIONS if not wanted or row.name in wanted]


def _gaussian_noise(images: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    return images + 255 * deviation * rng.standard_normal(images.shape, np.float32)


def _shot_noise(images: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(images * (photons / 255)) * (255 / photons)


def _impulse_noise(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.random((*images.shape[:3], 1), np.float32)
    return np.where(drawn < share / 2, 0, np.where(drawn < share, 255, images))


def _gaussian_blur(images: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    return _blurred(images, deviation, "nearest")


def _motion_blur(images: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Return the mean of the images along a line through each pixel, each image with a direction of its own."""
    pixels, angles = length * _side(images), rng.uniform(0, np.pi, len(images))
    places = np.linspace(-pixels / 2, pixels / 2, 1 + int(np.ceil(pixels)))
    return np.mean([_moved(images, place, angles, "edge") for place in places], axis=0)


def _fog(images: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    return images + (255 - images) * density * _clouds(images, 1 / 6, rng)


def _spatter(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the images behind drops, of which the middle hides all, and the edge lets something through."""
    clouds = _clouds(images, _DROP, rng)
    height = clouds - np.quantile(clouds, 1 - share, axis=(1, 2), keepdims=True)
    cover = np.clip(10 * height, 0, 1)
    return images * (1 - cover) + _WATER * cover


def _contrast(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return mean + factor * (images - mean)


def _inversion(images: np.ndarray, threshold: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(images >= 255 * threshold, 255 - images, images)


def _jpeg(images: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return _through_pictures(images, compressed)


def _pixelation(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    height, width = images.shape[1:3]
    small = (max(1, round(share * width)), max(1, round(share * height)))
    box, nearest = Image.Resampling.BOX, Image.Resampling.NEAREST
    return _through_pictures(images, lambda image: image.resize(small, box).resize((width, height), nearest))


def _shift(images: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    return _moved(images, distance * _side(images), rng.uniform(0, 2 * np.pi, len(images)), "constant")


def _rotation(images: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    angles = np.radians(degrees) * _signs(images, rng)
    return _warped(images, [[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])


def _scale(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Return images of which one half is enlarged and the other shrunk."""
    factors, zeros = factor ** _signs(images, rng), np.zeros(len(images))
    return _warped(images, [[factors, zeros], [zeros, factors]])


def _shear(images: np.ndarray, slope: float, rng: np.random.Generator) -> np.ndarray:
    zeros, ones = np.zeros(len(images)), np.ones(len(images))
    return _warped(images, [[ones, zeros], [slope * _signs(images, rng), ones]])


def _occlusion(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return images with a square of one level, as large as a share of the shorter side, somewhere within."""
    side = max(1, round(share * _side(images)))
    inside = []
    for axis in (1, 2):
        first = rng.integers(0, images.shape[axis] - side + 1, (len(images), 1))
        places = np.arange(images.shape[axis]) - first
        inside.append((places >= 0) & (places < side))
    level = rng.integers(0, 256, (len(images), 1, 1, 1))
    return np.where((inside[0][:, :, None] & inside[1][:, None])[..., None], level, images)


CORRUPTIONS = (
    Corruption("gaussian-noise", "standard deviation, of the full level", (0.05, 0.1, 0.15, 0.25, 0.4),
               _gaussian_noise),
    Corruption("shot-noise", "photons at the full level", (60, 25, 12, 5, 3), _shot_noise),
    Corruption("impulse-noise", "share of black or white pixels", (0.03, 0.06, 0.1, 0.17, 0.27), _impulse_noise),
    Corruption("gaussian-blur", "standard deviation, of the side", (0.02, 0.03, 0.045, 0.06, 0.08), _gaussian_blur),
    Corruption("motion-blur", "length, of the side", (0.1, 0.15, 0.2, 0.27, 0.35), _motion_blur),
    Corruption("fog", "density", (0.2, 0.4, 0.6, 0.8, 1.0), _fog),
    Corruption("spatter", "share of the area under drops", (0.04, 0.08, 0.12, 0.18, 0.26), _spatter),
    Corruption("contrast", "factor", (0.6, 0.4, 0.3, 0.2, 0.1), _contrast),
    Corruption("inversion", "level from which on levels are inverted, of the full one", (0.9, 0.75, 0.5, 0.25, 0.0),
               _inversion),
    Corruption("jpeg", "quality", (40, 25, 15, 10, 5), _jpeg),
    Corruption("pixelation", "share of the side's pixels", (0.75, 0.6, 0.5, 0.36, 0.25), _pixelation),
    Corruption("shift", "distance, of the side", (0.05, 0.1, 0.15, 0.2, 0.3), _shift),
    Corruption("rotation", "degrees", (8, 15, 25, 40, 60), _rotation),
    Corruption("scale", "factor, up or down", (1.1, 1.2, 1.35, 1.5, 1.8), _scale),
    Corruption("shear", "slope", (0.1, 0.2, 0.3, 0.45, 0.6), _shear),
    Corruption("occlusion", "the square's side, of the image's", (0.2, 0.3, 0.4, 0.5, 0.6), _occlusion),
)  # fmt: skip


def _side(images: np.ndarray) -> int:
    """Return the length of the images' shorter side, in pixels."""
    return min(images.shape[1:3])


def _signs(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw 1.0 or -1.0 for each image."""
    return rng.choice((-1.0, 1.0), len(images))


def _blurred(images: np.ndarray, deviation: float, mode: str) -> np.ndarray:
    """Return images, float32 (N, H, W, C), blurred by a Gaussian; its deviation is a share of the side."""
    pixels = deviation * _side(images)
    return np.asarray(ndimage.gaussian_filter(images, (0, pixels, pixels, 0), mode=mode))


def _clouds(images: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth field for each image, its bumps as large as a share of the side: (N, H, W, 1), 0 to 1."""
    field = _blurred(rng.standard_normal((*images.shape[:3], 1), np.float32), size, "wrap")
    field -= field.min(axis=(1, 2), keepdims=True)
    return np.asarray(field / field.max(axis=(1, 2), keepdims=True).clip(1e-9))


def _moved(images: np.ndarray, distance: float, angles: np.ndarray, mode: str) -> np.ndarray:
    """Return each image moved by a distance in its own direction, to whole pixels; `numpy.pad` names the modes."""
    down, right = (np.rint(distance * of(angles)).astype(int) for of in (np.sin, np.cos))
    border = int(np.ceil(abs(distance)))
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)), mode)  # type: ignore[call-overload]
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:], axis=(1, 2, 3))
    return np.asarray(windows[np.arange(len(images)), border - down, border - right, 0])


def _warped(images: np.ndarray, matrices: list[list[np.ndarray]]) -> np.ndarray:
    """Return each image as its own matrix, of rows and columns from the centre, stretches it; black comes in."""
    whole = np.tile(np.eye(3), (len(images), 1, 1))  # channels stay where they are
    whole[:, :2, :2] = np.moveaxis(np.array(matrices), -1, 0)
    centre = (np.array((*images.shape[1:3], 1)) - 1) / 2
    pairs = zip(images, np.linalg.inv(whole), strict=True)
    return np.stack([ndimage.affine_transform(image, back, centre - back @ centre, order=1) for image, back in pairs])


def _through_pictures(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Return images that a function of Pillow's pictures changed."""
    changed = [np.asarray(change(picture(image))) for image in images.astype(np.uint8)]
    return np.stack(changed).reshape(images.shape)
