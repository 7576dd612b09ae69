"""An epoch's training data as a pure function of (seed, epoch): order and augmentation, vectorised, in memory."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fmnist.config import AugmentationConfig

# Each use of randomness draws from its own stream, so that switching one on leaves the others as they were.
ORDER, FLIP, SHIFT = range(3)


def epoch_images(
    images: np.ndarray, config: AugmentationConfig, seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of one epoch in their training order, augmented, and that order.

    Args:
        images: uint8 (N, H, W).
        config: which augmentations, and how strong.
        seed: the run's seed.
        epoch: from 0.

    Returns:
        Images, uint8 (N, H, W), and the indices, int64 (N,), that were taken in turn.
    """
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(len(images))
    batch = images[order]
    if config.flip:
        # One coin for each image for the whole run, turned over each epoch: every image is seen equally often both
        # ways, which learns faster than new coins ("alternating flip", Keller Jordan, "94% on CIFAR-10 in 3.29
        # seconds on a single GPU", 2024).
        coins = np.random.default_rng([seed, FLIP]).integers(0, 2, len(images))[order]
        flipped = (coins + epoch) % 2 == 1
        batch[flipped] = batch[flipped][:, :, ::-1]
    if config.shift:
        batch = shift(batch, config.shift, np.random.default_rng([seed, SHIFT, epoch]))
    return batch, order


class Epochs:
    """Epoch after epoch; while one is trained on, the next is prepared on a thread of its own."""

    def __init__(self, images: np.ndarray, config: AugmentationConfig, seed: int) -> None:
        """Remember what `epoch_images` takes; nothing is prepared yet."""
        self._make = lambda epoch: epoch_images(images, config, seed, epoch)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="augment")
        self._ahead: dict[int, Future[tuple[np.ndarray, np.ndarray]]] = {}

    def take(self, epoch: int, *, more: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return `epoch_images` of an epoch; begin with the next one if there are to be more."""
        ready = self._ahead.pop(epoch, None)
        result = ready.result() if ready else self._make(epoch)
        if more:
            self._ahead = {epoch + 1: self._pool.submit(self._make, epoch + 1)}
        return result


def shift(images: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Move each image by its own whole number of pixels, -pixels to pixels, in both directions; zeros move in.

    Args:
        images: uint8 (N, H, W).
        pixels: the largest shift.
        rng: where the shifts are drawn from.
    """
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    down, right = rng.integers(0, 2 * pixels + 1, (2, len(images)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return np.ascontiguousarray(windows[np.arange(len(images)), down, right])
