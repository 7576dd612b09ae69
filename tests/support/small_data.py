"""A small data set of ten drawn patterns, and a way to stop training at a chosen moment."""

import gzip

import numpy as np

CLASSES = 10


class StopAfter:
    """Asks training to stop at the n-th question."""

    def __init__(self, questions):
        self.left = questions

    def __call__(self):
        self.left -= 1
        return self.left <= 0


def pattern_images(count: int, seed: int, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy bars, one position and direction for each class: uint8 (count, size, size) and labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % CLASSES
    rng.shuffle(labels)
    images = rng.integers(0, 90, (count, size, size))
    width = size // 6
    for image, label in zip(images, labels, strict=True):
        start = (label % 5) * size // 5
        if label < 5:
            image[start : start + width] += 120
        else:
            image[:, start : start + width] += 120
    return images.clip(0, 255).astype(np.uint8), labels


def write_idx_folder(folder, train, test):
    """Write two (images, labels) pairs as the four IDX files, half of them gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, (images, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = header + array.tobytes()
            if kind == "images-idx3":
                (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, 1))
            else:
                (folder / f"{prefix}-{kind}-ubyte").write_bytes(content)
    return folder
