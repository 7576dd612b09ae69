"""Finds the file that answers for what the user named, and decides whether it is trusted or tried first."""

import importlib.util
from pathlib import Path
from typing import Any

from fmnist.errors import InputError
from fmnist.predictor import hub
from fmnist.predictor.keras_file import open_keras
from fmnist.predictor.predictor import Predictor
from fmnist.predictor.trial import OPENERS, try_model
from fmnist.run import results
from fmnist.run.directory import RunDirectory, find_run_or_file, read_bounded, read_json, sha256
from fmnist.system import cores

MODEL_SUFFIXES = (*OPENERS, ".keras")
MAX_BYTES = 2**30
_PICKLE = "a pickle can carry code; "
_REFUSED = {
    **dict.fromkeys((".h5", ".hdf5"), "Keras's old format can carry code; save the model as .keras"),
    **dict.fromkeys((".pkl", ".pickle"), f"{_PICKLE}save the model as .keras, or export it"),
    **dict.fromkeys((".pt", ".pth"), f"{_PICKLE}export the model as .onnx"),
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
        path_or_run: a file, or a run: its directory, its name in `runs_dir`, or `latest`; or `hf://OWNER/NAME`, a model
            of the Hugging Face Hub.
        runs_dir: where runs are looked for by name.
        threads: of the light runtimes' arithmetic; by default as many as there are cores, 8 at most.

    Raises:
        InputError: there is no such model, or the file is damaged, hostile, or breaks the contract: uint8 (N, H, W, C)
            in, probabilities (N, classes) out.
        RunError: the runtime that it needs is not installed.
    """
    found = path_or_run
    if isinstance(found, str) and found.startswith(hub.PREFIX):
        found = hub.fetch(found)
    if not isinstance(found, RunDirectory):
        found = find_run_or_file(found, runs_dir, (*MODEL_SUFFIXES, *_REFUSED))
    if isinstance(found, Path):
        return _open_file(found, threads)
    export = _good_export(found)
    if export is not None and importlib.util.find_spec("ai_edge_litert"):
        return _open_file(export, threads)
    return open_keras(found.need(found.model, "train --resume"), _facts(found), results.temperature(found) or 1.0)


def _open_file(path: Path, threads: int | None) -> Predictor:
    suffix, run = path.suffix.lower(), RunDirectory(path.parent)
    if suffix in _REFUSED:
        raise InputError(f"{path}: {suffix} files are not opened: {_REFUSED[suffix]}")
    if suffix not in MODEL_SUFFIXES:
        raise InputError(f"{path}: is no model; expected a run, or a file {', '.join(MODEL_SUFFIXES)}")
    if suffix == ".keras":
        return open_keras(path, _facts(run) if path.name == run.model.name and run.exists() else None)
    try:
        content = read_bounded(path, MAX_BYTES, "a small model")
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror or error}") from error
    try_model(content, suffix, str(path))
    return OPENERS[suffix](content, str(path), threads or min(cores(), 8))


def _facts(run: RunDirectory) -> dict[str, Any]:
    """Return what predictions from a run's own model carry along."""
    try:
        dataset = read_json(run.config)["dataset"]
        names = [str(name) for name in dataset["class_names"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{run.config} names no classes; `{run.command('doctor')}` says what is wrong") from error
    known = {"familiarity": read_json(run.familiarity)} if run.familiarity.is_file() else {}
    return {"run": run.name, "class_names": names, "preparation": dataset.get("preparation"), **known}


def _good_export(run: RunDirectory) -> Path | None:
    """Return a run's LiteRT float32 file if it passed its gate, is undamaged, and has present model and temperature."""
    try:
        exports = results.exports(run)
    except InputError:  # an export only saves time
        return None
    for row in exports.get("files", []):
        if row.get("format") == "litert" and row.get("passed") is True:
            present = row.get("temperature", 1.0) == (results.temperature(run) or 1.0)
            path = results.exported_path(run, row) if present and run.model.is_file() else None
            if path is not None and path.is_file():
                return path if sha256(run.model) == exports.get("model_sha256") else None
    return None
