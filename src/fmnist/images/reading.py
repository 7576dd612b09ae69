"""Finds and reads what a user names as pictures: files, folders, patterns, IDX and .npy arrays, bytes on stdin."""

import glob
import io
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from fmnist.data.idx import MAX_BYTES, read_idx
from fmnist.data.preparation import Preparation
from fmnist.data.shape import Shape, fitting, full
from fmnist.errors import InputError
from fmnist.images.cutout import CutOut
from fmnist.images.decoding import OTHER_SUFFIXES, SUFFIXES, decode, read_rest
from fmnist.images.recipe import examine

STDIN = "-"
Read = Callable[[bytes, str], tuple[np.ndarray, CutOut]]
"""Turns the bytes of a picture file, which messages call by a name, into uint8 (H, W, C), and tells what was found."""
MAX_PACKED_BYTES = 128 * 2**20
"""What a gzipped IDX file may unpack to, in bytes: 170,000 pictures of 28 × 28. Others are as large as they are."""
NO_PICTURE = f"the folder holds no picture; looked for {', '.join(sorted(SUFFIXES))}"
_CLUTTER = {"System Volume Information", "lost+found", "Thumbs.db", "desktop.ini"}
_GZIP_START = b"\x1f\x8b"
_IDX_START = re.compile(rb"\0\0[\x08-\x0e][\x01-\x0f]|" + _GZIP_START)  # others begin with two zeros as well: HEIC, ICO
_NPY_START = b"\x93NUMPY"


def find_pictures(name: str) -> list[str]:
    """Return the files that a name stands for, sorted.

    A folder stands for the pictures in it and below it, told by their endings; hidden files are left out. A name that
    is neither a file nor a folder is a pattern if it has one of `*?[` in it. Any other name stands for itself, and it
    is the reader who complains if there is no such file.

    Raises:
        InputError: a pattern matches nothing, or a folder holds no picture.
    """
    if os.path.isdir(name):
        if pictures := walk(Path(name))[0]:
            return [str(path) for path in pictures]
        raise InputError(f"{name}: {NO_PICTURE}")
    if name != STDIN and not os.path.exists(name) and glob.has_magic(name):
        if matches := sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match)):
            return matches
        raise InputError(f"{name}: no file matches the pattern; give a file, a folder or another pattern")
    return [name]


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, or what file managers, archives and servers leave behind."""
    return name.startswith((".", "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN")) or name in _CLUTTER


def walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in a folder and below it, told by their endings, and the other files, both sorted.

    Links are followed, and what is met twice counts once, so that links in a circle end. Clutter is left out.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    met = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in met:
            folders.clear()
            continue
        met.add(real)
        folders[:] = [name for name in folders if not is_clutter(name)]
        for path in (Path(root, name) for name in files if not is_clutter(name)):
            known = path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES and path.is_file()
            (pictures if known else others).append(path)
    return sorted(pictures), sorted(others)


def read_pictures(
    name: str, image_shape: Sequence[int], stdin: IO[bytes] | None = None, how: Preparation | None = None
) -> tuple[np.ndarray, bool]:
    """Return the pictures in a file in a model's form.

    Args:
        name: a picture, an IDX file (gzipped or not) or a `.npy` array, told by its content; or `-` for stdin.
        image_shape: the model's height and width, in pixels, and its channels: 1, for grey, if left out, or 3.
        stdin: where `-` is read from.
        how: the preparation of the pictures that the model was trained on, if that is known.

    Returns:
        uint8 (N, H, W, C), and whether the file is an array of pictures rather than one picture. Pictures go through
        `prepare`; arrays are taken as they are.

    Raises:
        InputError: the file cannot be read, is damaged or no picture, or an array has not the model's size.
    """
    shape = full(image_shape)
    images, found = read_and_examine(
        name, shape, stdin, lambda content, name: examine(decode(content, name), shape, how)
    )
    return images, found is None


def read_and_examine(
    name: str, image_shape: Shape, stdin: IO[bytes] | None, read: Read
) -> tuple[np.ndarray, CutOut | None]:
    """Return the pictures as `read_pictures` does, and what was found out about a single one; None for an array."""
    if name == STDIN:
        return _read(stdin or io.BytesIO(), "stdin", None, image_shape, read)
    try:
        with open(name, "rb") as handle:
            regular = stat.S_ISREG(os.fstat(handle.fileno()).st_mode)
            return _read(handle, name, name if regular else None, image_shape, read)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def _read(
    handle: IO[bytes], name: str, path: str | None, image_shape: Shape, read: Read
) -> tuple[np.ndarray, CutOut | None]:
    """Read from an open file; `path` is where it can be opened again, None for a pipe."""
    start = handle.read(len(_NPY_START))
    npy, idx = start == _NPY_START, bool(_IDX_START.match(start))
    if not (npy or idx):
        levels, found = read(read_rest(handle, name, start), name)
        return levels[np.newaxis], found
    source = path or read_rest(handle, name, start)  # an array that lies in a file may be of any size
    if npy:
        return _fitting(_npy(source, name), image_shape, name), None
    limit = MAX_PACKED_BYTES if start[:2] == _GZIP_START else MAX_BYTES
    return _fitting(read_idx(source, ndim=3, name=name, limit=limit), image_shape, name), None


def _npy(source: str | bytes, name: str) -> np.ndarray:
    try:
        if isinstance(source, bytes):
            return np.load(io.BytesIO(source), allow_pickle=False)
        return np.load(source, mmap_mode="r", allow_pickle=False)  # a header that promises too much costs nothing
    except Exception as error:  # NumPy reads the header with Python's parser, which has errors of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: is no readable .npy array of numbers: {reason}") from error


def _fitting(images: np.ndarray, image_shape: Shape, name: str) -> np.ndarray:
    images = fitting(images, image_shape, name)
    if not len(images):
        raise InputError(f"{name}: holds no picture; expected at least one")
    return images
