"""Checks a run directory: whether its files are whole and fit together, and how to go on with it."""

from collections.abc import Iterator

from fmnist.config import restore
from fmnist.data import shape
from fmnist.doctor.check import NOTE, OK, WRONG, Check, attempt
from fmnist.errors import FmnistError, InputError
from fmnist.evaluation import metrics
from fmnist.evaluation.novelty import Novelty
from fmnist.predictor.opening import open_model
from fmnist.predictor.predictor import Predictor
from fmnist.run import checkpoints, lock, results, schema
from fmnist.run.directory import RunDirectory, read_json, sha256
from fmnist.run.history import read_history
from fmnist.text import plural


def check_run(run: RunDirectory) -> Iterator[Check]:
    """Yield what is found in a run."""
    resume = run.command("train --resume")
    found = [*schema.problems(run), *_familiarity_problems(run)]
    for text in found:
        yield Check("files", WRONG, text, _who_makes(text, run))
    if found:
        return
    yield Check("files", OK, "the JSON files and the history hold what they should")
    yield attempt("settings", lambda: f"preset {restore(read_json(run.config)).preset}", "see CHANGELOG.md")
    busy, state = lock.is_held(run.path), run.state()
    yield _state(run, state, busy, resume)
    if not busy and (left := run.leftovers()):
        text = f"{plural(len(left), 'half-written file')} of a killed process"
        yield Check("leftovers", NOTE, text, "the next writer removes them")
    yield from _checkpoints(run, state, resume)
    if state == "finished":
        yield from _results(run)


# The files that a run can do without, and the command that makes each again, where there is one.
_MAKERS = {
    "status.json": "train --resume", "history.csv": "train --resume", "model.keras": "train --resume",
    "first_epoch.json": "", "calibration.json": "evaluate", "familiarity.json": "evaluate", "metrics.json": "evaluate",
    "robustness.json": "robustness", "diagnosis.json": "diagnose", "exports.json": "export",
    "benchmark.json": "benchmark", "mlflow.json": "",
}  # fmt: skip


def _who_makes(text: str, run: RunDirectory) -> str:
    """Return what to do about a damaged file."""
    name = next((command for file, command in _MAKERS.items() if file in text), None)
    if name is None:
        return "take the file from a copy, or train again with --overwrite"
    return "remove the file" + (f"; `{run.command(name)}` makes it again" if name else "")


def _familiarity_problems(run: RunDirectory) -> list[str]:
    try:
        if run.familiarity.is_file():
            Novelty.from_dict(read_json(run.familiarity))
    except FmnistError as error:
        return [f"{run.familiarity.name}: {error}"]
    return []


def _state(run: RunDirectory, state: str, busy: bool, resume: str) -> Check:
    status = run.read_status()
    done = f"epoch {status.get('epoch', 0)} of {status.get('epochs', '?')}"
    if busy:
        return Check("state", NOTE, f"a process is writing it now; {done}")
    if state == "finished":
        rows = read_history(run.history) if run.history.is_file() else []
        if len(rows) != status.get("epoch"):
            text = f"finished with {done}, and history.csv has {len(rows)} rows"
            return Check("state", WRONG, text, _who_makes(run.history.name, run))
        return Check("state", OK, f"finished with {done}")
    if state in ("diverged", "failed"):
        mend = "change what it says, and train again with --overwrite"
        mend += f"; after a full disk, {resume}" if state == "failed" else ""
        return Check("state", WRONG, f"{state}: {status.get('message', 'no reason is known')}", mend)
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
    mend = _who_makes(run.model.name, run)
    yield attempt("model", lambda: describe(open_model(run.need(run.model, "train --resume"))), mend)
    evaluate, export = run.command("evaluate"), run.command("export")
    if run.metrics.is_file() and run.predictions.is_file():
        yield attempt("scores", lambda: _scores(run), evaluate)
    else:
        yield Check("scores", NOTE, "the model is not evaluated yet", evaluate)
    exports = results.exports(run)
    if exports and run.model.is_file() and exports.get("model_sha256") != sha256(run.model):
        yield Check("exports", WRONG, "they were made from another model than model.keras", export)
    for row in exports.get("files", []):
        if results.exported_path(run, row):
            yield Check("exports", OK, f"{row['file']}: every byte as written")
        else:
            yield Check("exports", WRONG, f"{row['file']}: changed since it was written, or a link", export)


def describe(model: Predictor) -> str:
    """Return a model's number of classes and the size of its pictures, in words."""
    return f"{len(model.class_names)} classes, pictures of {shape.told(model.image_shape)}"


def _scores(run: RunDirectory) -> str:
    stored, accuracy = results.metrics(run), metrics.accuracy(*results.predictions(run))
    if abs(accuracy - stored["accuracy"]) > 1e-9:
        raise InputError(f"metrics.json says {stored['accuracy']:.4f}, predictions.npz {accuracy:.4f}")
    return f"test accuracy {100 * accuracy:.2f}% of {stored['num_images']:,} images"
