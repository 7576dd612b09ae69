"""Reads and writes the IDX files of MNIST and its relatives, gzipped or not. Knows no particular data set.

Format: two zero bytes, a type code, the number of dimensions, one big-endian uint32 a dimension, then the values.
Source: http://yann.lecun.com/exdb/mnist/ (section "the IDX file format").
"""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import InputError

MAX_BYTES = 4 << 30
"""The largest decompressed file that is read, in bytes: a bound against corrupt headers and gzip bombs."""

# A gzip file may unpack to so much whatever its size. Beyond, pictures never shrink to a hundredth; bombs do.
_FREE_BYTES, _MAX_EXPANSION = 16 << 20, 100
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_KINDS = {1: "labels (1 dimension)", 3: "images (3 dimensions)", 4: "colour images (4 dimensions)"}
_CHANNELS = 3  # of colour images: their last dimension
EMNIST = "emnist-"
"""How the names of EMNIST's files begin, in which pictures lie with rows and columns exchanged."""
_HEADER_BYTES = 20  # of colour images, the longest header that is read
_CHUNK = 1 << 20

Source = str | os.PathLike[str] | bytes | bytearray | memoryview


def read_idx(
    source: Source, *, ndim: int | None = None, name: str | None = None, limit: int = MAX_BYTES
) -> NDArray[np.uint8]:
    """Read images or labels from an IDX file, gzipped or not (told by its content, not by its name).

    Args:
        source: a path, or the bytes of a file.
        ndim: 1 to accept labels only, 3 for images only (of 4 dimensions in colour), `None` for both.
        name: what error messages call the file; by default its path.
        limit: the most decompressed bytes to accept.

    Returns:
        uint8, (N, H, W) for grey images, (N, H, W, 3) for colour images or (N,) for labels; writable.

    Raises:
        InputError: the file can't be read, or isn't such an IDX file to the last byte.
    """
    name = name or _name(source)
    return parse_idx(read_content(source, name=name, limit=limit), name=name, ndim=ndim)


def read_content(source: Source, *, name: str | None = None, limit: int = MAX_BYTES) -> bytearray:
    """Return the decompressed bytes of an IDX file, header included, after checking header and length.

    Memory is allocated for bytes that are there, never for what a header promises. Arguments and errors are those of
    `read_idx`.
    """
    name = name or _name(source)
    try:
        with open(source, "rb") if isinstance(source, str | os.PathLike) else io.BytesIO(source) as raw:
            packed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            size = raw.seek(0, os.SEEK_END)
            raw.seek(0)
            return _read_gzip(raw, size, name, limit) if packed else _read_plain(raw, size, name, limit)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def parse_idx(content: bytes | bytearray, *, name: str, ndim: int | None = None) -> NDArray[np.uint8]:
    """Return the array in decompressed IDX bytes: uint8, (N, H, W), (N, H, W, 3) or (N,), a view on their memory.

    Pictures of EMNIST's, told by the file's name, are turned upright, in memory of their own.

    Raises:
        InputError: the bytes aren't an IDX file of unsigned bytes, or `ndim` asks for the other kind.
    """
    shape = _shape(content, name)
    _check_length(len(content), shape, name)
    if ndim is not None and (len(shape) == 1) != (ndim == 1):
        raise InputError(f"{name}: holds {_KINDS[len(shape)]}, expected {_KINDS[ndim]}; are two files swapped?")
    array = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    turned = len(shape) == 3 and os.path.basename(name).startswith(EMNIST)
    return array.swapaxes(1, 2).copy() if turned else array


def write_idx(path: str | os.PathLike[str], array: NDArray[np.uint8]) -> None:
    """Write images or labels as an IDX file, gzipped (repeatably, without a time stamp) if the name ends in `.gz`.

    Raises:
        InputError: the array is not uint8, (N, H, W), (N, H, W, 3) or (N,).
    """
    if array.dtype != np.uint8 or not _is_known(array.shape):
        got = f"got an array of {array.dtype} with shape {array.shape}"
        raise InputError(f"{path}: {got}, expected uint8 images (N, H, W) or (N, H, W, 3), or uint8 labels (N,)")
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape) + array.tobytes()
    Path(path).write_bytes(gzip.compress(content, 6, mtime=0) if str(path).endswith(".gz") else content)


def find_idx(folder: Path, name: str) -> Path | None:
    """Return the file of an official name such as `train-images-idx3-ubyte` in a folder, or `None`.

    Looks, in this order, for the name itself, the spelling `train-images.idx3-ubyte`, both with `.gz`, and EMNIST's
    names, such as `emnist-letters-train-images-idx3-ubyte`.

    Raises:
        InputError: there are files of several EMNIST sets.
    """
    dotted, emnist = name.replace("-idx", ".idx"), f"{EMNIST}*-{name.replace('t10k', 'test')}"
    for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz", emnist, f"{emnist}.gz"):
        found = sorted(path for path in folder.glob(spelling) if path.is_file())
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise InputError(f"{names}: of several data sets; put the files of one into a folder of their own")
        if found:
            return found[0]
    return None


def unpacks_too_far(unpacked: int, packed: int) -> bool:
    """Whether a file unpacks to more bytes than pictures would: over 16 MiB, and over a hundred times its size."""
    return unpacked > max(_FREE_BYTES, _MAX_EXPANSION * packed)


def _read_plain(raw: io.BytesIO | io.BufferedReader, size: int, name: str, limit: int) -> bytearray:
    shape = _shape(raw.read(_HEADER_BYTES), name, limit)
    _check_length(size, shape, name)
    content = bytearray(size)
    raw.seek(0)
    _check_length(raw.readinto(content) or 0, shape, name)  # a file may shrink while it is read
    return content


def _read_gzip(raw: io.BytesIO | io.BufferedReader, size: int, name: str, limit: int) -> bytearray:
    try:
        with gzip.GzipFile(fileobj=raw) as stream:
            content = bytearray(stream.read(_HEADER_BYTES))
            shape = _shape(content, name, limit)
            # One byte beyond the promised end proves that it is the end, and makes gzip check its checksum.
            while (room := _file_size(shape) + 1 - len(content)) > 0 and (chunk := stream.read(min(room, _CHUNK))):
                content += chunk
                if unpacks_too_far(len(content), size):
                    grown = f"unpacks from {size:,} bytes to over {_MAX_EXPANSION} times as many"
                    raise InputError(f"{name}: {grown}; expected images")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: is a damaged or truncated gzip file ({error}); copy or download it again") from error
    if len(content) > _file_size(shape):
        raise InputError(f"{name}: {_promise(shape)}, but there is more than that; copy or download it again")
    _check_length(len(content), shape, name)
    return content


def _shape(header: bytes | bytearray, name: str, limit: int = MAX_BYTES) -> tuple[int, ...]:
    """Return the dimensions in an IDX header after checking all of it."""
    begins = "begins 00 00 08 01 (labels), 00 00 08 03 (images) or 00 00 08 04 (colour images)"
    expected = f"expected an IDX file of unsigned bytes, which {begins}"
    if len(header) < 4 or header[:2] != b"\0\0":
        begin = f"begins {header[:4].hex(' ')}" if header else "is empty"
        raise InputError(f"{name}: {begin}; {expected}")
    type_code, ndim = header[2], header[3]
    if type_code != _UNSIGNED_BYTE:
        what = _OTHER_TYPES.get(type_code, "no known type")
        raise InputError(f"{name}: has type code 0x{type_code:02x} ({what}); {expected}")
    if ndim not in _KINDS:
        raise InputError(f"{name}: has {ndim} dimensions; {expected}")
    if len(header) < 4 + 4 * ndim:
        raise InputError(f"{name}: ends inside its header, after {len(header)} bytes; copy or download it again")
    shape = struct.unpack_from(f">{ndim}I", header, 4)
    if not _is_known(shape):
        raise InputError(f"{name}: {_promise(shape)}, {shape[-1]:,} for each pixel; expected {_CHANNELS} in colour")
    if _file_size(shape) > limit:
        too_much = f"more than the {limit:,} bytes accepted; the header is damaged or the file too large"
        raise InputError(f"{name}: {_promise(shape)}, {too_much}")
    return shape


def _is_known(shape: tuple[int, ...]) -> bool:
    return len(shape) in _KINDS and (len(shape) < 4 or shape[-1] == _CHANNELS)


def _check_length(size: int, shape: tuple[int, ...], name: str) -> None:
    if size != _file_size(shape):
        state = "too short" if size < _file_size(shape) else "too long"
        raise InputError(f"{name}: {_promise(shape)}, but it has {size:,}: {state}; copy or download it again")


def _file_size(shape: tuple[int, ...]) -> int:
    return 4 + 4 * len(shape) + math.prod(shape)


def _promise(shape: tuple[int, ...]) -> str:
    return f"its header promises {' x '.join(f'{size:,}' for size in shape)} values, {_file_size(shape):,} bytes in all"


def _name(source: Source) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "the given bytes"
