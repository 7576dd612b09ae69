"""Finds images that stand in a data set twice: byte for byte, or shifted, brightened and compressed again."""

from collections.abc import Callable

import numpy as np

from fmnist.data.inspection import digests

# Two images are near copies if their pixels, where they overlap after the best shift, correlate at least so much.
ALIKE = 0.99
SHIFT = 1  # pixels to each side
SIDE = 32  # larger images are shrunk to this side first
_FREQUENCIES = 4  # of the spectrum, in each direction
_NEIGHBOURS = 6  # the image itself, and those that are looked at
_NEAR = 0.15  # the distance of two spectra, which have length 1, up to which pixels are compared
_TOGETHER = 2000  # images that are held as floats at a time


def exact_copies(images: np.ndarray) -> np.ndarray:
    """Return for each image, uint8 (N, H, W, C), the first one that is the same to the byte: int64 (N,).

    That is the image itself where there is none before it.
    """
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(digest, place) for place, digest in enumerate(digests(images))], np.int64)


def near_copies(
    images: np.ndarray, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[tuple[int, int, float]]:
    """Find pairs of images, uint8 (N, H, W, C), that are the same but for a shift, brightness and small changes.

    Candidates are neighbours by the strengths of the low frequencies, which a shift leaves as they are; of these the
    pixels are compared. Images of one level are like nothing.

    Args:
        images: all different from each other.
        progress: called as `progress(done, total)`, of images.

    Returns:
        For each image that is like one before it: its place, the place of the one that is most like it, and the
        correlation of the two, `ALIKE` to 1.
    """
    if len(images) < 2:
        return []
    from sklearn.neighbors import NearestNeighbors

    small = shrunk(images)
    spectra = np.concatenate([_spectra(part) for part in _parts(small)])
    search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(images)), algorithm="brute").fit(spectra)
    best: dict[int, tuple[int, float]] = {}
    done = 0
    for part in _parts(spectra):
        distances, neighbours = search.kneighbors(part)
        rows, columns = np.nonzero(distances <= _NEAR)
        pairs = np.stack([rows + done, neighbours[rows, columns]], axis=1)
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
        for (earlier, later), alike in zip(pairs.tolist(), likeness(small, pairs).tolist(), strict=True):
            if alike >= ALIKE and alike > best.get(later, (0, 0.0))[1]:
                best[later] = earlier, alike
        done += len(part)
        progress(done, len(images))
    return [(later, earlier, alike) for later, (earlier, alike) in sorted(best.items())]


def likeness(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return how much two images correlate, at the best of all shifts: float32 (N,), up to 1.

    Args:
        images: float32 or uint8 (N, H, W, C).
        pairs: places in them, integer (N, 2).
    """
    found = np.full(len(pairs), -1.0, np.float32)
    height, width = images.shape[1:3]
    steps = [(down, across) for down in _steps(height) for across in _steps(width)]
    for start in range(0, len(pairs), _TOGETHER):
        one, other = (images[pairs[start : start + _TOGETHER, side]].astype(np.float32) for side in (0, 1))
        for down, across in steps:
            here = one[:, max(down, 0) : height + min(down, 0), max(across, 0) : width + min(across, 0)]
            there = other[:, max(-down, 0) : height - max(down, 0), max(-across, 0) : width - max(across, 0)]
            part = found[start : start + _TOGETHER]
            np.maximum(part, _correlation(here, there), out=part)
    return found


def shrunk(images: np.ndarray) -> np.ndarray:
    """Return images, uint8 (N, H, W, C), with sides of at most `SIDE` pixels, each the mean of a whole block."""
    height, width = images.shape[1:3]
    block = -(-max(height, width) // SIDE)
    if block == 1:
        return images
    rows, columns = height // block, width // block
    cut = images[:, : rows * block, : columns * block]
    blocks = (
        part.reshape(len(part), rows, block, columns, block, -1).mean(axis=(2, 4), dtype=np.float32).round()
        for part in _parts(cut)
    )
    return np.concatenate([part.astype(np.uint8) for part in blocks])


def _steps(side: int) -> range:
    """Return the shifts along a side; an image of few pixels is shifted less."""
    most = min(SHIFT, (side - 1) // 4)
    return range(-most, most + 1)


def _parts(array: np.ndarray) -> list[np.ndarray]:
    return [array[start : start + _TOGETHER] for start in range(0, len(array), _TOGETHER)]


def _spectra(images: np.ndarray) -> np.ndarray:
    """Return the roots of the strengths of the low frequencies of images: float32 (N, frequencies), of length 1."""
    strengths = np.abs(np.fft.rfft2(images.astype(np.float32), axes=(1, 2)))
    strengths[:, 0, 0] = 0  # the brightness
    down = np.unique([place % images.shape[1] for place in range(-_FREQUENCIES, _FREQUENCIES + 1)])
    roots = np.sqrt(strengths[:, down, : _FREQUENCIES + 1]).reshape(len(images), -1)
    return (roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlation of the pixels of images, float32 (N, H, W, C), in pairs; 0 where one has one level."""
    one, other = (array.reshape(len(array), -1) for array in (one, other))
    one, other = (array - array.mean(axis=1, keepdims=True) for array in (one, other))
    lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.maximum(lengths, 1e-3), np.float32)
