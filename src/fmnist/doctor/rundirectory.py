"""A run directory: whether its files are whole and fit together, and how to go on with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fmnist.config import restore
from fmnist.doctor.check import NOTE, OK, WRONG, Check, attempt
from fmnist.errors import FmnistError, InputError
from fmnist.evaluation import metrics
from fmnist.export.exporter import load_exports, sha256
from fmnist.predictor import open_model
from fmnist.run import checkpoints, lock, schema
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


def check_run(run: RunDirectory) -> Iterator[Check]:
    """Yield what is found in a run."""
    resume = f"fmnist train --resume {run.path}"
    found = schema.problems(run)
    for text in found:
        yield Check("files", WRONG, text, _who_makes(text, run))
    if found:
        return
    yield Check("files", OK, "the JSON files and the history hold what they should")
    yield attempt("settings", lambda: f"preset {restore(read_json(run.config)).preset}", "see CHANGELOG.md")
    busy, state = lock.is_held(run.path), run.state()
    yield _state(run, state, busy, resume)
    if not busy and (left := run.leftovers()):
        yield Check(
            "leftovers", NOTE, f"{len(left)} half-written file(s) of a killed process", "the next writer removes them"
        )
    yield from _checkpoints(run, state, resume)
    if state == "finished":
        yield from _results(run)


def _who_makes(text: str, run: RunDirectory) -> str:
    """Return the command that writes a file again."""
    commands = {"metrics": "evaluate", "diagnosis": "diagnose", "exports": "export", "benchmark": "benchmark"}
    name = next((command for file, command in commands.items() if f"{file}.json" in text), None)
    if name:
        return f"remove the file; `fmnist {name} {run.path}` makes it again"
    return "take the file from a copy, or train again with --overwrite"


def _state(run: RunDirectory, state: str, busy: bool, resume: str) -> Check:
    status = read_json(run.status) if run.status.is_file() else {}
    done = f"epoch {status.get('epoch', 0)} of {status.get('epochs', '?')}"
    if busy:
        return Check("state", NOTE, f"a process is writing it now; {done}")
    if state == "finished":
        rows = read_history(run.history) if run.history.is_file() else []
        if len(rows) != status.get("epoch"):
            return Check(
                "state",
                WRONG,
                f"finished with {done}, and history.csv has {len(rows)} rows",
                "train again with --overwrite",
            )
        return Check("state", OK, f"finished with {done}")
    if state == "failed":
        return Check(
            "state",
            WRONG,
            f"failed: {status.get('message', 'no reason is known')}",
            "change what it says, and train again with --overwrite; after a full disk, " + resume,
        )
    why = "interrupted" if state == "interrupted" else "its process was killed"
    return Check("state", NOTE, f"{why} in {done}", resume)


def _checkpoints(run: RunDirectory, state: str, resume: str) -> Iterator[Check]:
    whole, damaged = [], []
    for path in checkpoints.complete(run.checkpoints):
        try:
            checkpoints.read(path)
            whole.append(path.name)
        except FmnistError as error:
            damaged.append(str(error))
    for text in damaged:
        mend = f"{resume} goes on from {whole[0]}" if whole and state != "finished" else "start again with --overwrite"
        yield Check("checkpoints", NOTE if state == "finished" else WRONG, text, "" if state == "finished" else mend)
    if whole:
        yield Check("checkpoints", OK, f"{' and '.join(whole)}: every byte as written")
    elif not damaged and state != "finished":
        yield Check("checkpoints", NOTE, "none was written yet", f"{resume} starts it again")


def _results(run: RunDirectory) -> Iterator[Check]:
    """Yield whether a finished run's model opens, and whether what was made from it belongs to it."""
    retrain = "train again with --overwrite"
    yield attempt("model", lambda: _describe(run), retrain)
    evaluate = f"fmnist evaluate {run.path}"
    if run.metrics.is_file() and run.predictions.is_file():
        yield attempt("scores", lambda: _scores(run), evaluate)
    else:
        yield Check("scores", NOTE, "the model is not evaluated yet", evaluate)
    exports = load_exports(run)
    export = f"fmnist export {run.path}"
    if exports and exports.get("model_sha256") != sha256(run.model):
        yield Check("exports", WRONG, "they were made from another model than model.keras", export)
    for row in exports.get("files", []):
        same = sha256(run.exports / row["file"]) == row["sha256"]
        yield Check(
            "exports",
            OK if same else WRONG,
            f"{row['file']}: {'every byte as written' if same else 'changed since it was written'}",
            "" if same else export,
        )


def _describe(run: RunDirectory) -> str:
    model = open_model(run.need(run.model, "train"))
    return f"{len(model.class_names)} classes, pictures of {' × '.join(map(str, model.image_shape))} pixels"


def _scores(run: RunDirectory) -> str:
    stored = read_json(run.metrics)
    try:
        with open(run.predictions, "rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            accuracy = metrics.accuracy(arrays["probabilities"], arrays["labels"])
    except Exception as error:  # numpy and zipfile have errors of many kinds
        raise InputError(f"{run.predictions} cannot be read: {error}") from error
    if abs(accuracy - stored["accuracy"]) > 1e-9:
        raise InputError(f"metrics.json says {stored['accuracy']:.4f}, predictions.npz {accuracy:.4f}")
    return f"test accuracy {100 * accuracy:.2f}% of {stored['num_images']:,} images"
