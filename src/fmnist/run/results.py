"""Reads the results of a run: scores, predictions, calibration, diagnosis, exported files and their speeds.

No other file reads these. A result that is not there yet is empty or None, unless said otherwise; of a damaged one
every function raises `InputError`, which names the command that makes it again where there is one.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fmnist.errors import InputError
from fmnist.run.directory import RunDirectory, read_json, sha256
from fmnist.run.history import read_history

if TYPE_CHECKING:
    import numpy as np


# Arrays of predictions may unpack to so many bytes whatever the size of their file; beyond, probabilities never shrink
# to a twentieth of theirs; bombs shrink to a thousandth.
_FREE_BYTES, _MAX_EXPANSION = 16 << 20, 20


class Predictions(NamedTuple):
    """What a run's saved model answers on the test set."""

    probabilities: np.ndarray
    """Float (N, classes), a row for each test image, before calibration."""
    labels: np.ndarray
    """Integer (N,), the true classes, 0 to classes - 1."""


def metrics(run: RunDirectory) -> dict[str, Any]:
    """Return `metrics.json`: what `evaluation.evaluate.evaluate` returned."""
    return _stored(run, run.metrics, "evaluate")


def predictions(run: RunDirectory) -> Predictions:
    """Return what `predictions.npz` holds; where it is missing, too, this raises an `InputError`."""
    import numpy as np

    path = run.need(run.predictions, "evaluate")
    try:
        # numpy leaves a file that it opened itself open where that is no archive.
        with open(path, "rb") as handle:
            size = sum(entry.file_size for entry in zipfile.ZipFile(handle).infolist())
            handle.seek(0)
            if size > max(_FREE_BYTES, _MAX_EXPANSION * path.stat().st_size):
                raise ValueError(f"it unpacks to {size:,} bytes, over {_MAX_EXPANSION} times its size")
            with np.load(handle, allow_pickle=False) as arrays:
                probabilities, labels = arrays["probabilities"], arrays["labels"]
        kinds = probabilities.dtype.kind + labels.dtype.kind
        if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or kinds not in ("fi", "fu"):
            told = f"{probabilities.dtype} probabilities {probabilities.shape} and {labels.dtype} labels {labels.shape}"
            raise ValueError(f"it has {told}")
        if not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
            raise ValueError(f"it has labels from {labels.min()} to {labels.max()} of {probabilities.shape[1]} classes")
    except Exception as error:  # numpy and zipfile have errors of many kinds
        raise InputError(f"{path} cannot be read: {error}; `{run.command('evaluate')}` makes it again") from error
    return Predictions(probabilities, labels)


def temperature(run: RunDirectory) -> float | None:
    """Return the temperature in `calibration.json`, above 0: what the logits are divided by."""
    stored = _stored(run, run.calibration, "evaluate")
    try:
        found = float(stored["temperature"]) if stored else None
        if found is not None and not 0 < found < math.inf:
            raise ValueError(f"{found} divides nothing")
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(run, f"{run.calibration} has no temperature", "evaluate") from error


def robustness(run: RunDirectory) -> dict[str, Any]:
    """Return `robustness.json`: what `evaluation.robustness.measure` returned."""
    return _stored(run, run.robustness, "robustness")


def diagnosis(run: RunDirectory) -> dict[str, Any]:
    """Return `diagnosis.json`: what `Diagnosis.to_dict` returned."""
    return _stored(run, run.diagnosis, "diagnose")


def exports(run: RunDirectory) -> dict[str, Any]:
    """Return `exports/exports.json`, its list `files` without the rows of files that are gone."""
    index = _stored(run, run.exports_index, "export")
    try:
        return index and index | {"files": [row for row in index["files"] if (run.exports / row["file"]).exists()]}
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(run, f"{run.exports_index} has no list of files", "export") from error


def exported_path(run: RunDirectory, row: Mapping[str, Any]) -> Path | None:
    """Return the path of the file or folder in a row of `exports`; None where it was changed, or is a link.

    A link might lead to any file of whoever serves the run.
    """
    path = run.exports / Path(str(row["file"])).name
    linked = run.exports.is_symlink() or path.is_symlink()
    return path if not linked and path.exists() and sha256(path) == row.get("sha256") else None


def exported_files(run: RunDirectory) -> list[dict[str, Any]]:
    """Return the rows of a run's exported files; once their speeds are measured also these, and Keras's row first.

    A row that has speeds has `machine`, where they were measured. One that has none although others were measured has
    `older`: the benchmark is older than the file.
    """
    files = exports(run).get("files", [])
    measured = _stored(run, run.benchmark, "benchmark") if files else {}
    if not measured:
        return files
    keras, *rows = ({**row, "machine": measured["environment"]} for row in measured["rows"])
    speeds = {row["format"]: row for row in rows}
    told = []
    for file in files:
        # Earlier versions did not write down of which file the speeds are.
        found = speeds.get(file["format"], {"sha256": ""})
        fits = found.get("sha256", file.get("sha256")) == file.get("sha256")
        told.append(file | (found if fits else {"older": True}))
    return [keras, *told] if any("machine" in row for row in told) else told


def model_row(run: RunDirectory) -> dict[str, float]:
    """Return the row of a finished run's history at whose end the model's weights were taken.

    Raises:
        InputError: the history is missing, damaged or has no row.
    """
    history, epoch = read_history(run.history), run.read_status().get("model_epoch")
    if not history:
        raise InputError(f"{run.history} has no epoch; the run is {run.state()}; train it with `overwrite=True`")
    return next((row for row in history if row["epoch"] == epoch), history[-1])


def first_epoch(run: RunDirectory) -> list[tuple[int, float]]:
    """Return for each segment of the first epoch the steps done and the loss, a mean over the segment's images.

    Empty where a run of an earlier version did not keep them.
    """
    return read_json(run.first_epoch)["segments"] if run.first_epoch.is_file() else []


def environment(run: RunDirectory) -> dict[str, Any]:
    """Return `environment.json`: versions, machine and data that the run was made with."""
    return read_json(run.environment) if run.environment.is_file() else {}


def trained_on(environment: Mapping[str, Any], sha256: Mapping[str, str]) -> bool | None:
    """Whether a run was trained on certain data, files by name; None where its `environment.json` does not tell."""
    known = environment.get("data_sha256")
    return known == sha256 if known else None


def _stored(run: RunDirectory, path: Path, command: str) -> dict[str, Any]:
    """Return the contents of one of a run's JSON files, which `fmnist <command>` writes; empty where it is missing."""
    try:
        return read_json(path) if path.is_file() else {}
    except InputError as error:
        raise _damaged(run, str(error), command) from error


def _damaged(run: RunDirectory, problem: str, command: str) -> InputError:
    return InputError(f"{problem}; remove the file, and `{run.command(command)}` makes it again")
