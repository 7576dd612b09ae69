"""A foreign model file is first tried in a process of its own: a broken one can kill whoever opens it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fmnist.data.cache import default_cache_dir
from fmnist.errors import FmnistError, InputError
from fmnist.predictor.litert import open_litert
from fmnist.predictor.onnx import open_onnx
from fmnist.predictor.predictor import Predictor

OPENERS: dict[str, Callable[[bytes, str, int | None], Predictor]] = {".tflite": open_litert, ".onnx": open_onnx}
MEMORY_BYTES = 4 * 2**30
SECONDS = 60
_REFUSED = 3
# The child finds the package where the parent did, wherever it is started.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from fmnist.predictor.trial import main; main()"


def try_model(content: bytes, suffix: str, name: str) -> None:
    """Open a model file and ask it for one answer, in a process with bounds on memory, time and files.

    Bytes that passed once on this machine are remembered in the user's cache, by their SHA-256, and not tried again.
    Nothing that lies beside the file is believed: whoever made it can have made that too.

    Args:
        content: the file's bytes. The caller goes on with the same bytes, whatever becomes of the file.
        suffix: `.tflite` or `.onnx`.
        name: what messages call it.

    Raises:
        InputError: it cannot be opened, breaks the contract, kills the process, or takes too much memory or time.
    """
    digest = hashlib.sha256(content).hexdigest()
    if (tried_folder() / digest).is_file():
        return
    path = json.dumps([os.path.abspath(part) for part in sys.path])
    with tempfile.TemporaryDirectory(prefix="fmnist-") as empty:  # where relative paths in the file lead nowhere
        try:
            done = subprocess.run(
                [sys.executable, "-c", _START, path, suffix, name],
                input=content,
                capture_output=True,
                timeout=SECONDS,
                cwd=empty,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{name}: took longer than {SECONDS} seconds to open; it is damaged or hostile") from error
    if done.returncode == _REFUSED:
        raise InputError(done.stdout.decode(errors="replace"))
    if done.returncode:
        raise InputError(f"{name}: ended the process that tried it ({_end(done.returncode)}); it is damaged or hostile")
    remember(digest)


def remember(digest: str) -> None:
    """Note that the bytes with this SHA-256 passed a trial on this machine, or were exported on it."""
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a second each time
        tried_folder().mkdir(parents=True, exist_ok=True)
        (tried_folder() / digest).touch()


def tried_folder() -> Path:
    """Return the folder that has an empty file for each model that passed, named by its SHA-256."""
    return default_cache_dir() / "tried-models"


def _end(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def main() -> None:
    """Try the model on stdin; its suffix and name are the second and third argument."""
    _, _, suffix, name = sys.argv
    content = sys.stdin.buffer.read()
    _limit()
    try:
        OPENERS[suffix](content, name, 1)
    except FmnistError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.stdout.flush()
        os._exit(_REFUSED)  # nothing of a runtime that choked on the file may run any more
    os._exit(0)


def _limit() -> None:
    """Bound memory, processor time, file sizes and core dumps, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock alone
        return
    for what, bound in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
