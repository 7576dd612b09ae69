"""Makes an epoch's training data, in order and augmented, as a pure function of (seed, epoch)."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fmnist.config import AugmentationConfig
from fmnist.training.mixing import Mix, drawn_stretch, mix, stretch

# Each use of randomness draws from its own stream, so that switching one on leaves the others as they were.
ORDER, FLIP, SHIFT, ROTATION, ZOOM, ERASE, MIX, RANDOM_ERASE, UNMIXED = range(9)
# Images warped at once: their coordinates stay in the processor's cache.
CHUNK = 128


class Epoch(NamedTuple):
    """The images of one epoch, and what their labels depend on."""

    images: np.ndarray  # uint8 (N, H, W), in their training order, augmented
    order: np.ndarray  # int64 (N,), the indices that were taken in turn
    flipped: np.ndarray  # bool (N,), which are mirrored
    mix: Mix | None  # how they were mixed, if they were

    def targets(self, rows: np.ndarray, mirrored: np.ndarray | None = None) -> np.ndarray:
        """Return the epoch's targets, mixed as its images: each image's row, of `mirrored` where it is mirrored."""
        chosen = rows[self.order]
        if mirrored is not None:
            chosen[self.flipped] = mirrored[self.order][self.flipped]
        return self.mix.of(chosen) if self.mix else chosen


def make_epoch(images: np.ndarray, config: AugmentationConfig, seed: int, epoch: int) -> Epoch:
    """Return images, uint8 (N, H, W), as the run with this seed meets them in an epoch, counted from 0."""
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(len(images))
    batch = images[order]
    flipped = np.zeros(len(images), bool)
    if config.flip:
        # One coin for each image for the whole run, turned over each epoch: every image is seen equally often both
        # ways, which learns faster than new coins ("alternating flip", Keller Jordan, "94% on CIFAR-10 in 3.29
        # seconds on a single GPU", 2024).
        coins = np.random.default_rng([seed, FLIP]).integers(0, 2, len(images))[order]
        flipped = (coins + epoch) % 2 == 1
        batch[flipped] = batch[flipped][:, :, ::-1]
    if config.rotation or config.zoom:
        turns = np.random.default_rng([seed, ROTATION, epoch]).uniform(-config.rotation, config.rotation, len(images))
        scales = 1 + np.random.default_rng([seed, ZOOM, epoch]).uniform(-config.zoom, config.zoom, len(images))
        batch = warp(batch, turns, scales)
    if config.shift:
        batch = shift(batch, config.shift, np.random.default_rng([seed, SHIFT, epoch]))
    if config.erase:
        batch = erase(batch, config.erase, np.random.default_rng([seed, ERASE, epoch]))
    if config.random_erase:
        batch = random_erase(batch, config.random_erase, np.random.default_rng([seed, RANDOM_ERASE, epoch]))
    mixed = None
    if config.mixup or config.cutmix:
        unmixed = np.random.default_rng([seed, UNMIXED, epoch]).random(len(images)) < config.unmixed
        batch, mixed = mix(batch, config.mixup, config.cutmix, np.random.default_rng([seed, MIX, epoch]), unmixed)
    return Epoch(batch, order, flipped, mixed)


class Epochs:
    """Epoch after epoch; while one is trained on, the next is prepared on a thread of its own."""

    def __init__(self, images: np.ndarray, config: AugmentationConfig, seed: int) -> None:
        """Remember what `make_epoch` takes; nothing is prepared yet."""
        self._make = lambda epoch: make_epoch(images, config, seed, epoch)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="augment")
        self._ahead: dict[int, Future[Epoch]] = {}

    def take(self, epoch: int, *, more: bool) -> Epoch:
        """Return `make_epoch` of an epoch; begin with the next one if there are to be more."""
        ready = self._ahead.pop(epoch, None)
        result = ready.result() if ready else self._make(epoch)
        if more:
            self._ahead = {epoch + 1: self._pool.submit(self._make, epoch + 1)}
        return result


def shift(images: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Move each image by its own whole number of pixels, -pixels to pixels, in both directions; zeros move in."""
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    down, right = rng.integers(0, 2 * pixels + 1, (2, len(images)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return np.ascontiguousarray(windows[np.arange(len(images)), down, right])


def warp(images: np.ndarray, degrees: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Turn and scale each image about its centre, with bilinear interpolation; zeros come in from outside.

    Args:
        images: uint8 (N, H, W), and so is what comes back.
        degrees: float (N,), counter-clockwise.
        scales: float (N,), above 1 to enlarge.
    """
    height, width = images.shape[1:]
    rows = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    columns = np.arange(width, dtype=np.float32) - (width - 1) / 2
    cosines = (np.cos(np.radians(degrees)) / scales).astype(np.float32)[:, None, None]
    sines = (np.sin(np.radians(degrees)) / scales).astype(np.float32)[:, None, None]
    # Each pixel and its right, lower and lower right neighbours in four bytes, so that one look-up fetches all four.
    # The border of zeros is where every place outside is clipped to.
    padded = (height + 3, width + 3)
    starts = (np.arange(CHUNK, dtype=np.int32) * padded[0] * padded[1])[:, None, None]
    warped = np.empty_like(images)
    for first in range(0, len(images), CHUNK):
        part = slice(first, first + CHUNK)
        quads = _quads(images[part])
        cosine, sine = cosines[part], sines[part]
        y = (cosine * rows + (height - 1) / 2) + sine * columns
        x = (cosine * columns + (width - 1) / 2) - sine * rows
        np.clip(y, -1, height, out=y)
        np.clip(x, -1, width, out=x)
        y += 1
        x += 1
        top, left = y.astype(np.int32), x.astype(np.int32)
        y -= top
        x -= left
        top *= padded[1]
        top += left
        top += starts[: len(top)]
        corners = quads.ravel()[top].view(np.uint8).reshape(*top.shape, 4)
        upper, lower = corners[..., 0].astype(np.float32), corners[..., 2].astype(np.float32)
        upper += x * (corners[..., 1] - upper)
        lower += x * (corners[..., 3] - lower)
        upper += y * (lower - upper)
        upper += 0.5
        warped[part] = upper
    return warped


def _quads(images: np.ndarray) -> np.ndarray:
    """Return uint32 (N, H + 3, W + 3): of each pixel, in a border of zeros, the four of which it is the upper left."""
    count, height, width = images.shape
    padded = np.zeros((count, height + 4, width + 4), np.uint8)
    padded[:, 1 : height + 1, 1 : width + 1] = images
    neighbours = [padded[:, down : down + height + 3, right : right + width + 3] for down in (0, 1) for right in (0, 1)]
    return np.ascontiguousarray(np.stack(neighbours, axis=-1)).view(np.uint32)[..., 0]


def erase(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a square in each image to zero, its side a share of the image's, its centre anywhere: part may fall outside.

    Source: T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with Cutout", 2017.
    """
    height, width = images.shape[1:]
    sides = np.full(len(images), round(share * min(height, width)))
    rows, columns = (drawn_stretch(length, sides, rng) for length in (height, width))
    return np.where(rows[:, :, None] & columns[:, None], np.uint8(0), images)


def random_erase(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Fill a rectangle within each of a share (0 to 1) of the images with noise: a grey at random for each pixel.

    Its area is 2 to 30% of the image's, its sides' ratio 0.3 to 1 / 0.3, as far as the image is that long.
    Source: Z. Zhong et al., "Random erasing data augmentation", 2017.
    """
    count, height, width = images.shape
    chosen = np.less(rng.random(count), share)
    area, ratio = rng.uniform(0.02, 0.3, count) * height * width, 0.3 ** rng.uniform(-1, 1, count)
    down, across = (
        np.rint(np.sqrt(square)).astype(int).clip(1, length)
        for square, length in ((area * ratio, height), (area / ratio, width))
    )
    rows = stretch(height, rng.integers(0, height - down + 1), down)
    columns = stretch(width, rng.integers(0, width - across + 1), across)
    filled = rows[:, :, None] & columns[:, None] & chosen[:, None, None]
    return np.where(filled, rng.integers(0, 256, images.shape, np.uint8), images)
