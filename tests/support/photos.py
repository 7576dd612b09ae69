"""Fake photos: images of the data set enlarged, blurred and put on a ground, as PNG, JPEG or WebP files."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from fmnist.images.decoding import decode
from fmnist.images.recipe import prepare
from fmnist.predictor.predictor import Predictor

KINDS = ("white", "white, shadow", "light", "dark", "tinted", "shaded", "transparent")
"""What a photo's object lies on. Of the middle four, half have a shadow."""

# What is lighter than this in the data set belongs to the object.
_OBJECT = 12
_TURNS = {  # how a picture is stored that its EXIF orientation turns upright
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def fake_photo(image: np.ndarray, kind: str, rng: np.random.Generator) -> bytes:
    """Return a picture file that shows the negative of an image, uint8 (N, N), on one of `KINDS`.

    The image is enlarged to 300 to 900 pixels, blurred by 0.2 to 0.5 of its own pixels and given margins of up to half
    its size on each side. Size, blur, margins, colours, noise, format and orientation are drawn from `rng`.
    """
    side = int(rng.integers(300, 901))
    pixel = side / len(image)
    negative = ImageOps.invert(_enlarged(image, side, pixel * rng.uniform(0.2, 0.5)))
    mask = _enlarged(np.where(image > _OBJECT, 255, 0).astype(np.uint8), side, 0.25 * pixel)
    left, top, right, bottom = (int(margin) for margin in rng.integers(0, side // 2, 4))
    size = left + side + right, top + side + bottom
    if kind == "transparent":
        photo = Image.new("RGBA", size, (*rng.integers(0, 256, 3).tolist(), 0))
        negative.putalpha(mask)
        photo.paste(negative.convert("RGBA"), (left, top))
    else:
        photo = _ground(kind.split(",")[0], size, rng)
        if kind.endswith("shadow") or (kind != "white" and rng.random() < 0.5):
            shadow = Image.new("L", size)
            shadow.paste(mask, (left + round(pixel), top + round(pixel)))
            shadow = shadow.filter(ImageFilter.GaussianBlur(1.5 * pixel))
            strength = rng.uniform(0.1, 0.3)
            photo.paste((0, 0, 0), None, shadow.point(lambda level: round(strength * level)))
        photo.paste(negative, (left, top), mask)
        photo = _noisy(photo, rng)
    return _file(photo, rng)


def _enlarged(image: np.ndarray, side: int, blur: float) -> Image.Image:
    large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return large.filter(ImageFilter.GaussianBlur(blur))


def _ground(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    low, high = {
        "white": (255, 256),
        "light": (215, 250),
        "dark": (10, 60),
        "tinted": (140, 245),
        "shaded": (200, 245),
    }[kind]
    colour = rng.integers(low, high, 3) if kind == "tinted" else np.repeat(rng.integers(low, high), 3)
    ground = Image.new("RGB", size, tuple(colour.tolist()))
    if kind != "shaded":
        return ground
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64))
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    light = 1 - rng.uniform(0.08, 0.25) * (slope - slope.min()) / np.ptp(slope)
    light = Image.fromarray((255 * light).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(ground, light.convert("RGB"))


def _noisy(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add noise of 2 levels, the same in each tile of 256 pixels."""
    tile = (128 + rng.normal(0, 2, (256, 256, 3))).round().astype(np.uint8)
    rows, columns = -(-photo.height // 256), -(-photo.width // 256)
    noise = Image.fromarray(np.tile(tile, (rows, columns, 1))[: photo.height, : photo.width])
    return ImageChops.add(photo, noise, 1, -128)


def _file(photo: Image.Image, rng: np.random.Generator) -> bytes:
    kind = str(rng.choice(["PNG", "palette", "WEBP"] if photo.mode == "RGBA" else ["PNG", "palette", "JPEG", "WEBP"]))
    orientation = int(rng.integers(1, 9)) if rng.random() < 0.5 else 1
    turn, exif, file = _TURNS[orientation], Image.Exif(), io.BytesIO()
    if turn is not None:
        photo, exif[0x0112] = photo.transpose(turn), orientation
    if kind == "palette":
        photo = photo.quantize(int(rng.choice([64, 256])), Image.Quantize.FASTOCTREE)
    options = {"quality": int(rng.integers(60, 96))} if kind in ("JPEG", "WEBP") else {"compress_level": 1}
    photo.save(file, "PNG" if kind == "palette" else kind, exif=exif, **options)
    return file.getvalue()


def photographed(images: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Return what becomes of images, uint8 (M, N, N, 1), that are made into fake photos and these into images again.

    Photo k is of kind `kinds[k]` and drawn from the seed k.
    """
    shape = (*images.shape[1:3], 1)
    return np.stack(
        [
            prepare(decode(fake_photo(image[..., 0], kind, np.random.default_rng(number)), kind), shape)
            for number, (image, kind) in enumerate(zip(images, kinds, strict=True))
        ]
    )


def same_class(model: Predictor, images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return whether the model gives both of two images, uint8 (M, H, W, 1), the same class: bool (M,)."""
    return model.probabilities(images).argmax(axis=1) == model.probabilities(others).argmax(axis=1)


def garment():
    """A pullover as the data set has it: light sleeves, a darker body, a collar, a seam."""
    image = np.zeros((28, 28), np.uint8)
    image[4:26, 3:8] = image[4:26, 20:25] = 120
    image[1:28, 8:20] = 150
    image[0, 9:19], image[1:3, 12:16] = 120, 60
    image[14, 8:20] = 180
    return image
