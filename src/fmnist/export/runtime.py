"""Fetches the WebAssembly runtime of the page in `web/`: two files of one npm package, known by its hash.

npm fetches it, from where its own configuration says. It is kept in the user's cache and checked each time.
"""

import base64
import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from fmnist.data.cache import default_cache_dir
from fmnist.errors import InputError, RunError
from fmnist.run.directory import write_bytes

# The last release with a build for one thread: later ones want shared memory even for one, and iOS 16 and 17 refuse
# the amount that they reserve (onnxruntime's issue 22086).
PACKAGE, VERSION = "onnxruntime-web", "1.18.0"
# What npm calls the package's integrity: the SHA-512 of its archive in base64.
INTEGRITY = "sha512-o1UKj4ABIj1gmG7ae0RKJ3/GT+3yoF0RRpfDfeoe0huzRW4FDRLfbkDETmdFAvnJEXuYDE0YT+hhkia0352StQ=="
FILE = f"{PACKAGE}-{VERSION}.tgz"
# The files of the page that come from it, and their names in the archive.
MEMBERS = {"runtime.js": "package/dist/esm/ort.wasm-core.min.js", "runtime.wasm": "package/dist/ort-wasm-simd.wasm"}

_MAX_BYTES = 40_000_000  # of the archive, which has 36 million, and of a file in it
_SECONDS = 600.0
_BY_HAND = f"`npm pack {PACKAGE}@{VERSION}` on a machine with npm makes {FILE}; give it with `web_runtime`"


def load_runtime(given: Path | None = None, note: Callable[[str], None] = lambda text: None) -> dict[str, bytes]:
    """Return the runtime's files by their names in the page's folder.

    They come from the given archive of the package; by default from the one in the cache, or else npm fetches it.

    Raises:
        InputError: the given file cannot be read, or is another one.
        RunError: npm is not installed, may not be asked (`FMNIST_OFFLINE`), or gave nothing or something else.
    """
    if given is not None:
        try:
            content = _read(given)
        except OSError as error:
            raise InputError(f"{given} cannot be read: {error.strerror or error}; {_BY_HAND}") from error
        if not _is_known(content):
            raise InputError(f"{given} is not {PACKAGE} {VERSION}: its hash is another; {_BY_HAND}")
        return _members(content)
    cached = default_cache_dir() / "web-runtime" / FILE
    with contextlib.suppress(OSError):
        content = _read(cached)
        if _is_known(content):
            return _members(content)
    content = _pack(note)
    if not _is_known(content):
        raise RunError(f"what npm gave as {PACKAGE} {VERSION} has another hash than expected; nothing was used of it")
    try:
        write_bytes(cached, content)
    except RunError as error:
        note(f"not kept for the next time: {error}")
    return _members(content)


def _read(path: Path) -> bytes:
    with open(path, "rb") as handle:
        return handle.read(_MAX_BYTES)


def _is_known(content: bytes) -> bool:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode() == INTEGRITY


def _pack(note: Callable[[str], None]) -> bytes:
    """Let npm fetch the archive into a folder of its own; nothing of it is unpacked or run."""
    if os.environ.get("FMNIST_OFFLINE", "0") not in ("", "0"):
        raise RunError(f"{PACKAGE} is not in the cache, and FMNIST_OFFLINE is set; {_BY_HAND}")
    npm = shutil.which("npm")
    if npm is None:
        raise RunError(f"format web needs {PACKAGE}, and npm, which fetches it, is not installed; {_BY_HAND}")
    note(f"{'web':12} npm fetches {PACKAGE} {VERSION}, 36 MB, once")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
    with tempfile.TemporaryDirectory(prefix="fmnist-") as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, timeout=_SECONDS, stdin=subprocess.DEVNULL, capture_output=True, errors="replace"
            )
            if not done.returncode:
                return _read(Path(folder) / FILE)
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0][:200]
        except subprocess.TimeoutExpired:
            reason = f"it took longer than {_SECONDS:.0f} seconds"
        except OSError as error:
            reason = error.strerror or str(error)
    raise RunError(f"npm could not fetch {PACKAGE} {VERSION}: {reason}; {_BY_HAND}")


def _members(content: bytes) -> dict[str, bytes]:
    """Read the named files of a known archive; their names never become paths."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        files = {name: archive.extractfile(archive.getmember(member)) for name, member in MEMBERS.items()}
        return {name: file.read(_MAX_BYTES) for name, file in files.items() if file is not None}
