"""Keeps files known by their SHA-256 in a folder, for many processes at once. Doesn't know where they come from.

Nothing in it is trusted: a file is hashed each time it is read (55 MB take 30 ms on a processor with SHA instructions).
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fmnist.run.directory import TEMPORARY, atomic_path

Progress = Callable[[int, int | None, str], None]
"""Called as `progress(received_bytes, total_bytes, label)`; the total is `None` where it isn't known."""

SCRATCH_PREFIX = ".fetch-"
LEFTOVER_SECONDS = 3600.0
LOCK_SECONDS = 900.0


class Unavailable(Exception):
    """A file could not be had from one place; the message is the reason. Never leaves the data room."""


@dataclass(frozen=True)
class KnownFile:
    """A file whose decompressed content is known: its name, size in bytes and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str

    def check_size(self, size: int) -> None:
        """Raise `Unavailable` unless the number of bytes is this file's."""
        if size != self.size:
            raise Unavailable(f"{self.name} has {size:,} bytes, expected {self.size:,}")

    def check(self, content: bytes | bytearray) -> None:
        """Raise `Unavailable` unless the decompressed content is this file's."""
        self.check_size(len(content))
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise Unavailable(f"{self.name} has SHA-256 {digest[:12]}…, expected {self.sha256[:12]}…")


@dataclass
class Cache:
    """The verified files in one folder, which need not exist."""

    folder: Path

    def read(self, file: KnownFile) -> bytearray | None:
        """Return the content of a file, or `None` if there is none; raise `Unavailable` for a bad one."""
        try:
            with open(self.folder / file.name, "rb") as stream:
                # The size comes first, so that a wrong file is never read whole.
                file.check_size(os.fstat(stream.fileno()).st_size)
                content = bytearray(file.size)
                stream.readinto(content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable(f"{file.name} cannot be read: {error.strerror or error}") from error
        file.check(content)
        return content

    def store(self, file: KnownFile, content: bytes | bytearray) -> None:
        """Put a verified file in its place in one step, or raise `RunError`: others see all of it or nothing."""
        with atomic_path(self.folder / file.name) as temporary:
            temporary.write_bytes(content)

    @contextlib.contextmanager
    def lock(self, progress: Progress | None = None) -> Iterator[None]:
        """Let one process at a time fetch, while the others wait.

        A killed holder lets go at once, since the kernel does it. The lock saves work and isn't needed for safety:
        where there can be none (a read-only folder, some network file systems), or after 15 minutes, the block runs
        without it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock", fallback_to_soft=False)
        with contextlib.suppress(OSError):  # a Timeout is one
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if progress:
                    progress(0, None, "waiting for another process that is fetching the data")
                lock.acquire(timeout=LOCK_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def remove_leftovers(self) -> None:
        """Delete what killed processes left half-written, an hour after they last touched it."""
        for path in [*self.folder.glob(f"{SCRATCH_PREFIX}*"), *self.folder.glob(f"{TEMPORARY}*")]:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a temporary folder, inside this one if possible (so that leftovers are found), else in the system's."""
        try:
            folder = tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=self.folder)
        except OSError:
            folder = tempfile.mkdtemp(prefix=f"fmnist{SCRATCH_PREFIX}")
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def default_cache_dir() -> Path:
    """Return the user's cache: `$FMNIST_CACHE`, else the system's place for it, on Linux `~/.cache/fmnist`."""
    if own := os.environ.get("FMNIST_CACHE"):
        return Path(own).expanduser()
    from platformdirs import user_cache_path

    try:
        return user_cache_path("fmnist", appauthor=False)
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / "fmnist-cache"
