"""Checkpoints: arrays and a state, written aside, fsynced, renamed, and checked by SHA-256 when read back.

Knows nothing of models: `training` says what the arrays are.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import FmnistError, RunError
from fmnist.rundir import read_json, sync_directory

KEEP = 2
PREFIX = "step-"


def save(folder: Path, step: int, arrays: list[np.ndarray], state: dict[str, Any]) -> None:
    """Write the checkpoint of a step, then remove all but the newest two complete ones.

    Args:
        folder: the run's `checkpoints` directory.
        step: training steps done since the start of the run; names the checkpoint.
        arrays: numeric arrays of any shape and dtype.
        state: a JSON-ready mapping.

    Raises:
        RunError: it cannot be written (disk full); the checkpoints that were there are untouched.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{f"{number:04d}": array for number, array in enumerate(arrays)})  # type: ignore[arg-type]
    files = {"arrays.npz": buffer.getvalue(), "state.json": json.dumps(state).encode()}
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files["manifest.json"] = json.dumps(manifest, indent=2).encode()
    target = folder / f"{PREFIX}{step:08d}"
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        for name, content in files.items():
            with open(temporary / name, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        sync_directory(temporary)
        if target.exists():  # the same step again, after a resume fell back behind it
            shutil.rmtree(target)
        os.replace(temporary, target)
        sync_directory(folder)
    except OSError as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"cannot write the checkpoint {target}: {error.strerror or error}; the checkpoint before it is intact"
        ) from error
    for old in [*_complete(folder)[KEEP:], *folder.glob(".writing-*")]:
        shutil.rmtree(old, ignore_errors=True)


def load_latest(folder: Path) -> tuple[list[np.ndarray], dict[str, Any], list[str]]:
    """Read the newest checkpoint that is whole.

    Returns:
        Its arrays, its state, and a line for each newer one that was torn or altered and passed over.

    Raises:
        RunError: there is no whole checkpoint.
    """
    problems: list[str] = []
    for path in _complete(folder):
        try:
            return (*_read(path), problems)
        except (OSError, ValueError, KeyError, FmnistError) as error:
            problems.append(f"{path.name} is damaged ({error})")
    found = "; ".join(problems) or "none was written yet"
    raise RunError(f"{folder} has no usable checkpoint: {found}")


def _complete(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted((path for path in folder.glob(f"{PREFIX}*") if path.is_dir()), reverse=True)


def _read(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    manifest = read_json(path / "manifest.json")
    for name in ("arrays.npz", "state.json"):
        if hashlib.sha256((path / name).read_bytes()).hexdigest() != manifest.get(name):
            raise ValueError(f"{name} does not have the SHA-256 that its manifest names")
    with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
        return [arrays[name] for name in sorted(arrays.files)], read_json(path / "state.json")
