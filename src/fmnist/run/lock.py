"""Locks a folder for one writer at a time. The kernel keeps the lock, so that a killed holder lets go at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fmnist.errors import RunError

FILE = ".lock"
_IN_USE = "{} is in use by another process; wait for it, or choose another name"


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make the folder and hold it for writing.

    Raises:
        RunError: another process holds it, it cannot be written, or its file system has no locks.
    """
    # Locks an open file and never falls back to a marker file, which a killed process would leave behind.
    from filelock import lock_descriptor

    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / FILE, "a+b")  # noqa: SIM115 (closed below, which releases the lock)
    except OSError as error:
        raise RunError(f"cannot write the run directory {folder}: {error.strerror or error}") from error
    with handle:
        try:
            taken = lock_descriptor(handle.fileno(), blocking=False)
        except OSError as error:
            problem = f"cannot lock {folder}: {error.strerror or error}"
            raise RunError(f"{problem}; choose a folder on a file system with locks") from error
        if not taken:
            raise RunError(_IN_USE.format(folder))
        yield


def check_free(folder: Path) -> None:
    """Raise a `RunError` if a folder is held; asked before long imports, so that the answer comes at once."""
    if is_held(folder):
        raise RunError(_IN_USE.format(folder))


def is_held(folder: Path) -> bool:
    """Whether another process holds the folder now. Writes nothing; False where that cannot be told."""
    path = folder / FILE
    try:
        # NFS locks only what is open for writing.
        with open(path, "r+b" if os.access(path, os.W_OK) else "rb") as handle:
            from filelock import lock_descriptor

            return not lock_descriptor(handle.fileno(), blocking=False)
    except OSError:
        return False
