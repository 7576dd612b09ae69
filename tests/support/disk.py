"""A disk that is full from a chosen write on, and files that are damaged at a chosen place."""

import contextlib
import os
import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

_state = {"folder": "", "left": -1, "limit": 0}
_WRITING = os.O_WRONLY | os.O_RDWR


def _watch(event: str, arguments: tuple) -> None:
    if event != "open" or _state["left"] < 0:
        return
    path, _, flags = arguments
    if (
        isinstance(path, str | bytes | os.PathLike)
        and flags & _WRITING
        and os.fsdecode(path).startswith(_state["folder"])
    ):
        _state["left"] -= 1
        if _state["left"] < 0:
            # From here on no file grows beyond this: the kernel refuses, to Python and to any library alike.
            resource.setrlimit(resource.RLIMIT_FSIZE, (_state["limit"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextlib.contextmanager
def full_from(number: int, folder: Path, limit: int = 0) -> Iterator[dict]:
    """Let the `number`-th file (from 0) that this process opens for writing in a folder find the disk full.

    Yields a dictionary whose `left` is negative once that has happened.
    """
    if not getattr(_watch, "on", False):
        sys.addaudithook(_watch)
        _watch.on = True
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    _state.update(folder=str(folder), left=number, limit=limit)
    try:
        yield _state
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        full, _state["left"] = _state["left"] < 0, -1
        _state["full"] = full


def damage(path: Path, rng: random.Random) -> str:
    """Truncate a file or flip a bit of it, at a random place; return what was done."""
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    if rng.random() < 0.5:
        path.write_bytes(content[:place])
        return f"{path.name} cut at {place}"
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"{path.name} flipped at {place}"
