"""Tries a foreign model file in a process of its own, since a broken one can kill whoever opens it."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fmnist.data.cache import default_cache_dir
from fmnist.errors import FmnistError, InputError, RunError
from fmnist.predictor.litert import open_litert
from fmnist.predictor.onnx import open_onnx
from fmnist.predictor.predictor import Predictor
from fmnist.predictor.process import Answer, Bounds, call

OPENERS: dict[str, Callable[[bytes, str, int], Predictor]] = {".tflite": open_litert, ".onnx": open_onnx}
BOUNDS = Bounds(memory=4 * 2**30, seconds=60)


def try_model(content: bytes, suffix: str, name: str) -> None:
    """Open a model file and ask it for a few pictures, in a process with bounds on memory, time and files.

    Bytes that passed once on this machine are remembered in the user's cache, by their SHA-256, and not tried again.
    Nothing that lies beside the file is believed: whoever made it can have made that too.
    The caller goes on with the same bytes, whatever becomes of the file.

    Raises:
        InputError: it cannot be opened, breaks the contract, kills the process, or takes too much memory or time.
    """
    digest = hashlib.sha256(content).hexdigest()
    if (tried_folder() / digest).is_file():
        return
    what, arrays = f"{name}: opening it failed", {"content": np.frombuffer(content, np.uint8)}
    try:
        found, _ = call("fmnist.predictor.trial:attempt", what, arrays, bounds=BOUNDS, suffix=suffix, name=name)
    except RunError as error:
        raise InputError(f"{error}; it is damaged or hostile") from error
    if found:
        raise InputError(str(found["problem"]))
    remember(digest)


def attempt(*, content: np.ndarray, suffix: str, name: str) -> Answer:
    """Open the model here; return `problem`, why it is refused, or nothing."""
    try:
        OPENERS[suffix](content.tobytes(), name, 1)
    except FmnistError as error:
        return {"problem": str(error)}, {}
    return {}, {}


def remember(digest: str) -> None:
    """Note that the bytes with this SHA-256 passed a trial on this machine, or were exported on it."""
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a second each time
        tried_folder().mkdir(parents=True, exist_ok=True)
        (tried_folder() / digest).touch()


def tried_folder() -> Path:
    """Return the folder that has an empty file for each model that passed, named by its SHA-256."""
    return default_cache_dir() / "tried-with-pictures"
