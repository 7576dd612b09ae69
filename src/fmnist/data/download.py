"""Fetches the bytes of known files from a folder, from an HTTP mirror or from Debian's package. Checks no checksums.

Each source, printed, is its name in messages, and says whether it needs the `network`. Its `fetch` yields each file
asked for with its content, gzipped or not, and raises `Unavailable` with the reason at the first that can't be had.
"""

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.data.cache import Cache, KnownFile, Progress, Unavailable
from fmnist.data.idx import find_idx
from fmnist.system import is_root

_GZIP_OVERHEAD = 1 << 16  # bytes that gzip may add to content that doesn't compress
_CHUNK = 1 << 16
_RUN_SECONDS = 600  # of one command

Fetched = Generator[tuple[KnownFile, bytes], None, None]


@dataclass(frozen=True)
class Folder:
    """A folder that holds the files under their official names, such as the one of the system's package."""

    path: Path
    network = False

    def __str__(self) -> str:
        return str(self.path)

    def fetch(self, files: Sequence[KnownFile], progress: Progress | None) -> Fetched:
        """Read the files."""
        if not self.path.is_dir():
            raise Unavailable("no such folder")
        for file in files:
            path = find_idx(self.path, file.name)
            if path is None:
                raise Unavailable(f"{file.name} is missing")
            try:
                if path.stat().st_size > file.size + _GZIP_OVERHEAD:
                    raise Unavailable(f"{path.name} is larger than the {file.size:,} bytes expected")
                yield file, path.read_bytes()
            except OSError as error:
                raise Unavailable(f"{path.name} cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class Mirror:
    """A web address below which the files lie, each with `.gz` added to its name."""

    address: str
    timeout: float = 5.0
    """Seconds to wait for a connection, and for each next piece of the answer."""
    slowest: float = 20_000.0
    """Bytes a second; a mirror that stays below this for `patience` seconds is given up."""
    patience: float = 20.0
    network = True

    def __str__(self) -> str:
        return self.address

    def fetch(self, files: Sequence[KnownFile], progress: Progress | None) -> Fetched:
        """Download the files."""
        # 30 ms to import: only those who download should pay for it.
        from http.client import HTTPException

        for file in files:
            name = f"{file.name}.gz"
            try:
                yield file, self._download(name, file.size + _GZIP_OVERHEAD, progress)
            except (OSError, HTTPException, ValueError) as error:  # ValueError: not a web address
                raise Unavailable(f"{name}: {self._reason(error)}") from error

    def _download(self, name: str, limit: int, progress: Progress | None) -> bytes:
        from urllib.request import Request, urlopen

        request = Request(self.address.rstrip("/") + "/" + name, headers={"User-Agent": "fmnist"})
        content = bytearray()
        start = time.monotonic()
        with urlopen(request, timeout=self.timeout) as response:
            promised = response.headers.get("Content-Length", "")
            total = int(promised) if promised.isdecimal() else None
            # read1 hands over each piece as it comes: a server that drips can't hold us for long.
            while piece := response.read1(_CHUNK):
                content += piece
                if progress:
                    progress(len(content), total, name)
                if len(content) > limit:
                    raise Unavailable(f"{name}: the answer is longer than the {limit:,} bytes expected at most")
                if (seconds := time.monotonic() - start) > self.patience and len(content) < self.slowest * seconds:
                    raise Unavailable(f"{name}: too slow, {len(content):,} bytes in {seconds:.0f} seconds")
        if total is not None and len(content) != total:
            raise Unavailable(f"{name}: the connection ended after {len(content):,} of {total:,} bytes")
        return bytes(content)

    def _reason(self, error: Exception) -> str:
        from urllib.error import HTTPError

        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
            return f"the server answered {error.code} {error.reason}"
        reason = getattr(error, "reason", error)  # urllib wraps what went wrong before the request was sent
        if isinstance(reason, TimeoutError):
            return f"no answer for {self.timeout:g} seconds"
        return getattr(reason, "strerror", None) or str(reason)


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian or Ubuntu, downloaded and unpacked without root and without installing it."""

    package: str
    folder: str
    """Where the package keeps the files, without the leading slash."""
    cache: Cache
    network = True

    def __str__(self) -> str:
        return f"the distribution's package {self.package}"

    def fetch(self, files: Sequence[KnownFile], progress: Progress | None) -> Fetched:
        """Download and unpack the package into a temporary folder and read the files there."""
        if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
            raise Unavailable(f"needs Debian or Ubuntu; {' and '.join(missing)} not found")
        with self.cache.scratch() as scratch:
            yield from Folder(self._unpack(scratch, progress)).fetch(files, progress)

    def _unpack(self, scratch: Path, progress: Progress | None) -> Path:
        tell = functools.partial(progress or (lambda *_: None), 0, None)
        apt = ["apt-get", "-qq", *_private_apt_options(scratch)]
        tell("reading the distribution's package lists (apt-get update)")
        # Its failure need not matter: one third-party repository out of reach is enough for it.
        _run([*apt, "update"], scratch, check=False)
        tell(f"downloading {self.package} (apt-get download)")
        _run([*apt, "download", self.package], scratch)
        archive = next(scratch.glob("*.deb"), None)
        if archive is None:
            raise Unavailable("apt-get download left no .deb file")
        tell(f"unpacking {archive.name}")
        _run(["dpkg-deb", "-x", archive.name, "unpacked"], scratch)
        return scratch / "unpacked" / self.folder


Source = Folder | Mirror | DebianPackage


def _private_apt_options(scratch: Path) -> list[str]:
    """Keep apt-get's state and cache in `scratch`, so that it needs no root and changes nothing of the system."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": scratch / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 5,
        "Acquire::https::Timeout": 5,
    }
    if is_root():
        settings["APT::Sandbox::User"] = "root"  # else apt warns that its user _apt can't enter our folder
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _run(command: list[str], folder: Path, *, check: bool = True) -> None:
    name = " ".join([command[0], *[part for part in command[1:] if part in ("update", "download", "-x")]])
    quiet = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    call = functools.partial(subprocess.run, stdin=subprocess.DEVNULL, capture_output=True, timeout=_RUN_SECONDS)
    try:
        done = call(command, cwd=folder, env=quiet, text=True, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{name} took longer than {_RUN_SECONDS} seconds") from error
    except OSError as error:
        raise Unavailable(f"{name} cannot be run: {error.strerror or error}") from error
    if check and done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Unavailable(f"{name} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
