"""Unpacks an archive from anybody into a temporary folder: plain files alone, inside it, within bounds."""

import contextlib
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from fmnist.data.idx import unpacks_too_far
from fmnist.errors import InputError, first_line
from fmnist.images.forms.found import Reading
from fmnist.images.reading import is_clutter
from fmnist.text import plain

MAX_UNPACKED = 16 << 30
"""The most bytes that an archive may unpack to."""
MAX_MEMBERS = 1_000_000
_CHUNK = 1 << 20


class _Member(NamedTuple):
    name: str
    size: int  # in bytes, as the archive promises
    problem: str  # why it is not unpacked, or empty
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def find(path: Path, reading: Reading) -> Path | None:
    """Return a temporary folder with what is in a .zip or .tar file, the latter packed as .gz, .bz2 or .xz or not."""
    if not path.is_file() or path.suffix.lower() == ".npz":
        return None
    try:
        members = _zip_members if zipfile.is_zipfile(path) else _tar_members if tarfile.is_tarfile(path) else None
        if members is None:
            return None
        folder = Path(reading.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="fmnist-archive-"))).resolve()
        reading.unpacked[folder] = path
        _unpack(path, members(path, reading.cleanup), folder)
    except InputError:
        raise
    except OSError as error:
        mend = "unpack it yourself, or set TMPDIR to a folder with more room"
        told = f"{path}: cannot be unpacked into {tempfile.gettempdir()}: {error.strerror or error}"
        raise InputError(f"{told}; {mend}") from error
    except Exception as error:  # damaged archives have errors of many kinds
        raise InputError(f"{path}: is a damaged archive, or one of an unknown kind: {first_line(error)}") from error
    return folder


def _zip_members(path: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(zipfile.ZipFile(path))
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        problem = "is a link or a device" if mode not in (0, stat.S_IFREG, stat.S_IFDIR) else ""
        problem = "is encrypted" if info.flag_bits & 1 else problem
        yield _Member(info.filename, info.file_size, problem, not info.is_dir(), partial(archive.open, info))


def _tar_members(path: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(tarfile.TarFile.open(path))
    for info in archive:
        problem = "" if info.isreg() or info.isdir() else "is a link or a device"
        yield _Member(info.name, info.size, problem, info.isreg(), partial(archive.extractfile, info))


def _unpack(path: Path, members: Iterator[_Member], folder: Path) -> None:
    """Write the files of an archive into a folder, or raise `InputError` at the first member that is not harmless."""
    packed, promised, written = path.stat().st_size, 0, 0

    def check(unpacked: int) -> None:
        if unpacked > MAX_UNPACKED or unpacks_too_far(unpacked, packed):
            told = f"unpacks to {unpacked:,} bytes and more from {packed:,}"
            raise InputError(f"{path}: {told}; expected pictures, at most 100 times as many bytes and {MAX_UNPACKED:,}")

    for number, member in enumerate(members, 1):
        parts = PurePosixPath(member.name.replace("\\", "/")).parts
        outside = ".." in parts or any(letter in "".join(parts[:1]) for letter in "/:")  # a root, or a Windows drive
        problem = "lies outside of it" if outside else member.problem
        if problem:
            raise InputError(f"{path}: its member {plain(member.name)} {problem}; expected plain files alone")
        if number > MAX_MEMBERS:
            raise InputError(f"{path}: has more than {MAX_MEMBERS:,} members; expected pictures")
        promised += member.size
        check(promised)
        source = member.open() if member.is_file and not any(map(is_clutter, parts)) else None
        if source is None:
            continue
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source, open(target, "wb") as sink:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                check(written)  # a promise may be false
                sink.write(chunk)
