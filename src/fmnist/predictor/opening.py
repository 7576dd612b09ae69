"""Which file answers for what the user named, and whether it is trusted or tried first."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from fmnist.errors import InputError
from fmnist.predictor.keras_file import open_keras
from fmnist.predictor.predictor import Predictor
from fmnist.predictor.trial import OPENERS, try_model
from fmnist.run import results
from fmnist.run.directory import RunDirectory, find_run, read_json, sha256

MODEL_SUFFIXES = (*OPENERS, ".keras")
MAX_BYTES = 2**30
_REFUSED = {
    ".h5": "Keras's old format can carry code; save the model as .keras",
    ".hdf5": "Keras's old format can carry code; save the model as .keras",
    ".pkl": "a pickle can carry code; save the model as .keras, or export it",
    ".pickle": "a pickle can carry code; save the model as .keras, or export it",
    ".pt": "a pickle can carry code; export the model as .onnx",
    ".pth": "a pickle can carry code; export the model as .onnx",
}


def open_model(
    path_or_run: str | Path | RunDirectory, runs_dir: Path = Path("runs"), *, threads: int | None = None
) -> Predictor:
    """Open a run, or a `.tflite`, `.onnx` or `.keras` file.

    A run answers through its LiteRT float32 export where it has one that passed its gate, belongs to the run's present
    model and calibration and is undamaged, and `ai_edge_litert` is installed: the same answers to 1e-4, without the
    seconds that TensorFlow takes to start. Otherwise its `model.keras` answers through Keras, calibrated like the
    export. That file itself, named as such, answers as it is.

    A `.tflite` or `.onnx` is first tried in a process with bounds on memory and time, once on each machine. Of a
    `.keras`, only stock layers are loaded.

    Args:
        path_or_run: a file, or a run: its directory, its name in `runs_dir`, or `latest`.
        runs_dir: where runs are looked for by name.
        threads: of the light runtimes' arithmetic; by default as many as there are cores, 8 at most.

    Raises:
        InputError: there is no such model, or the file is damaged, hostile, or breaks the contract: uint8 (N, H, W, 1)
            in, probabilities (N, classes) out.
        RunError: the runtime that it needs is not installed.
    """
    if isinstance(path_or_run, RunDirectory):
        return _open_run(path_or_run, threads)
    path = Path(path_or_run)
    suffix = path.suffix.lower()
    if suffix in _REFUSED and not path.is_dir():
        raise InputError(f"{path}: {suffix} files are not opened: {_REFUSED[suffix]}")
    if path.is_file() or (suffix in MODEL_SUFFIXES and not path.is_dir()):
        return _open_file(path, suffix, threads)
    return _open_run(find_run(str(path_or_run), runs_dir), threads)


def _open_file(path: Path, suffix: str, threads: int | None) -> Predictor:
    if suffix not in MODEL_SUFFIXES:
        raise InputError(f"{path}: is no model; expected a run, or a file {', '.join(MODEL_SUFFIXES)}")
    if suffix == ".keras":
        run = RunDirectory(path.parent)
        if path.name == run.model.name and run.exists():
            return open_keras(path, _facts(run))
        return open_keras(path)
    content = _read(path)
    try_model(content, suffix, str(path))
    return OPENERS[suffix](content, str(path), threads)


def _open_run(run: RunDirectory, threads: int | None) -> Predictor:
    export = _good_export(run)
    if export is not None and importlib.util.find_spec("ai_edge_litert"):
        return _open_file(export, export.suffix, threads)
    return open_keras(run.need(run.model, "train"), _facts(run), results.temperature(run) or 1.0)


def _facts(run: RunDirectory) -> dict[str, Any]:
    """Return what predictions from a run's own model carry along."""
    try:
        names = [str(name) for name in read_json(run.config)["dataset"]["class_names"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{run.config} names no classes; `fmnist doctor {run.path}` says what is wrong") from error
    facts: dict[str, Any] = {"run": run.name, "class_names": names}
    return facts | ({"familiarity": read_json(run.familiarity)} if run.familiarity.is_file() else {})


def _good_export(run: RunDirectory) -> Path | None:
    """Return a run's LiteRT float32 file if it passed its gate, is undamaged, and has present model and temperature."""
    try:
        exports = results.exports(run)
    except InputError:  # an export only saves time
        return None
    for row in exports.get("files", []):
        if row.get("temperature", 1.0) != (results.temperature(run) or 1.0):
            continue
        if row.get("format") == "litert" and row.get("passed") is True:
            path = run.exports / Path(str(row.get("file"))).name
            if path.is_file() and run.model.is_file() and sha256(path) == row.get("sha256"):
                return path if sha256(run.model) == exports.get("model_sha256") else None
    return None


def _read(path: Path) -> bytes:
    """Return a model file's bytes.

    Raises:
        InputError: it is missing, unreadable or larger than 1 GiB.
    """
    try:
        with open(path, "rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES:,} bytes; expected a small model")
    return content
