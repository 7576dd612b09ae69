"""Checkpoints: arrays and a state, written aside, fsynced, renamed, and checked by SHA-256 when read back.

Knows nothing of models: `training` says what the arrays are.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import FmnistError, RunError
from fmnist.run.directory import TEMPORARY, read_bounded, read_json
from fmnist.system import sync_directory

KEEP = 2
PREFIX = "step-"
ARRAYS, STATE, MANIFEST = "arrays.npz", "state.json", "manifest.json"
# Of a file: the arrays of a hundred million parameters, a history of 100,000 epochs.
MAX_ARRAYS_BYTES, MAX_STATE_BYTES = 2 * 2**30, 64 * 2**20


def save(folder: Path, step: int, arrays: list[np.ndarray], state: dict[str, Any]) -> None:
    """Write the checkpoint of a step, then remove all but this and the newest one before it.

    Nothing is removed before the new one is whole on the disk. What there was from later steps goes too: it was
    damaged, and the run went on from an earlier one. `step` counts from the start of the run.

    Raises:
        RunError: it cannot be written (disk full); the checkpoints that were there are untouched.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{f"{number:04d}": array for number, array in enumerate(arrays)})  # type: ignore[arg-type]
    files = {ARRAYS: buffer.getvalue(), STATE: json.dumps(state).encode()}
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[MANIFEST] = json.dumps(manifest, indent=2).encode()
    name = f"{PREFIX}{step:08d}"
    target = folder / name
    while target.exists():  # the same step again: measured since, or after a resume fell back behind it
        target = target.with_name(f"{target.name}a")
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
        for file, content in files.items():
            with open(temporary / file, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        sync_directory(temporary)
        os.replace(temporary, target)
        sync_directory(folder)
    except OSError as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        problem = f"cannot write the checkpoint {target}: {error.strerror or error}"
        raise RunError(f"{problem}; the checkpoint before it is intact") from error
    others = [path for path in complete(folder) if path != target]
    older = [path for path in others if path.name < name]
    for old in [*(path for path in others if path not in older[: KEEP - 1]), *folder.glob(f"{TEMPORARY}*")]:
        shutil.rmtree(old, ignore_errors=True)


def load_latest(folder: Path) -> tuple[list[np.ndarray], dict[str, Any], list[str]]:
    """Return the newest whole checkpoint's arrays and state, and a line for each newer one that is torn or altered.

    Raises:
        RunError: there is no whole checkpoint.
    """
    problems: list[str] = []
    for path in complete(folder):
        try:
            return (*read(path), problems)
        except FmnistError as error:
            problems.append(str(error))
    found = "; ".join(problems) or "none was written yet"
    raise RunError(f"{folder} has no usable checkpoint: {found}; start again with `overwrite=True`")


def complete(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first; whether they are undamaged is for `read` to say."""
    return sorted((path for path in folder.glob(f"{PREFIX}*") if path.is_dir()), reverse=True)


def read(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return a checkpoint's arrays and state; a `RunError` if it is torn, altered or too large."""
    try:
        manifest = read_json(path / MANIFEST)
        limits = {ARRAYS: MAX_ARRAYS_BYTES, STATE: MAX_STATE_BYTES}
        files = {name: read_bounded(path / name, limit) for name, limit in limits.items()}
        for name, content in files.items():
            if hashlib.sha256(content).hexdigest() != manifest.get(name):
                raise ValueError(f"{name} does not have the SHA-256 that its manifest names")
        state = json.loads(files[STATE])
        # Stored, not compressed: never more bytes than the file has. Anybody can write a manifest, so the rest is
        # caught as well: numpy and zipfile have errors of many kinds.
        if any(entry.compress_type for entry in zipfile.ZipFile(io.BytesIO(files[ARRAYS])).infolist()):
            raise ValueError(f"{ARRAYS} is compressed")
        with np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False) as arrays:
            return [arrays[name] for name in sorted(arrays.files)], state
    except Exception as error:
        raise RunError(f"{path.name} is damaged ({error})") from error
