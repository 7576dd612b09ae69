"""Computes a network's outputs for many images once, and keeps them in a file for a run that is resumed."""

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fmnist.run.directory import atomic_path
from fmnist.training.progress import Interrupted

# Images between two questions whether to stop.
CHUNK = 1_000


def kept(
    path: Path,
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    shape: tuple[int, ...],
    should_stop: Callable[[], bool],
) -> np.ndarray:
    """Return the outputs, float32 (N, *shape), that an .npz file holds, if they are whole; or compute and keep them.

    The file has a checksum: what was changed or cut since it was written is computed again.

    Raises:
        Interrupted: `should_stop` said so.
        RunError: the file cannot be written.
    """
    with contextlib.suppress(Exception):  # a damaged archive can make its reader raise anything
        with open(path, "rb") as file:
            if any(entry.compress_type for entry in zipfile.ZipFile(file).infolist()):
                raise ValueError("compressed, it could unpack to any size")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                stored: np.ndarray = archive["outputs"]
        if stored.shape == (len(images), *shape) and stored.dtype == np.float32:
            return stored
    found = []
    for start in range(0, len(images), CHUNK):
        if should_stop():
            raise Interrupted
        found.append(predict(images[start : start + CHUNK]))
    outputs = np.concatenate(found)
    with atomic_path(path) as temporary:
        np.savez(temporary, outputs=outputs)
    return outputs


def forget(*paths: Path) -> None:
    """Remove files that no epoch needs any more."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
