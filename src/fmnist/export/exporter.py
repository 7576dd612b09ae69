"""Exports a run: each file is made in a child process, judged against Keras in another, and then put in place."""

import contextlib
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.data import shape
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.errors import FmnistError, RunError
from fmnist.evaluation import evaluate
from fmnist.export.formats import DEFAULT_FORMATS, FORMATS, check_formats
from fmnist.export.gate import compare
from fmnist.predictor.process import call
from fmnist.predictor.trial import remember
from fmnist.run import environment, results
from fmnist.run.directory import TEMPORARY, RunDirectory, parts, read_json, sha256, write_json
from fmnist.system import sync_directory

EXAMPLES = 500  # more changed nothing in the ranges that integer arithmetic gets from them


def export_run(
    run: RunDirectory,
    dataset: Dataset,
    formats: tuple[str, ...] = DEFAULT_FORMATS,
    *,
    calibrate: bool = True,
    force: bool = False,
    web_runtime: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write a run's model in other formats into `exports/`, each only if it answers like Keras on the whole test set.

    Args:
        run: has a `model.keras`. The caller holds its lock.
        dataset: the data set it was trained on.
        formats: names in `FORMATS`.
        calibrate: fold the run's temperature into the last layer, so that the files give calibrated probabilities; a
            run that kept no validation images has none. Keras is compared with the same folded in.
        force: write a file that its gate refuses too, marked `passed: false` in `exports.json`.
        web_runtime: the archive of format web's runtime; by default the cache's, or what npm fetches.
        note: is told what is being done.

    Returns:
        What `exports.json` holds, with `written` (names of the formats that are new) and `refused`: for each format
        that was not written, or by force only, its name and the reasons.

    Raises:
        InputError: there is no model yet, the data set does not fit it, there is no such format, or the given archive
            is another one.
        RunError: Keras is not installed, the runtime of format web cannot be had, or the files cannot be written.
    """
    check_formats(formats)
    wanted = [FORMATS[name] for name in dict.fromkeys(formats)]
    model = run.need(run.model, "train --resume")
    config = read_json(run.config)
    evaluate.check_dataset(config, dataset)
    common = _common_facts(run, config)
    finish = {form.name: pkgutil.resolve_name(form.finish)(run, web_runtime, note) for form in wanted if form.finish}
    evaluate.calibrate(run, dataset)
    fitted = results.temperature(run) if calibrate else None
    known = {"calibrated": fitted is not None, "temperature": fitted or 1.0}
    facts, index = common | known, common | {"files": []}
    if run.familiarity.is_file():
        facts["familiarity"] = read_json(run.familiarity)
    before = results.exports(run)
    of_this_model = before.get("model_sha256") == index["model_sha256"]
    files = {row["format"]: row for row in before["files"]} if of_this_model else {}
    images, labels = dataset.test_images, dataset.test_labels
    arrays = {"examples": _examples(config, dataset), "images": images, "labels": labels}
    written: list[str] = []
    refused: list[dict[str, Any]] = []
    with _unfinished(run.exports) as folder:
        note(f"{'Keras':12} {len(images):,} test images")
        source = model
        if fitted is not None:
            source = folder / "calibrated.keras"
            what = "the temperature cannot be folded in (`calibrate=False` leaves it out)"
            call("fmnist.export.network:fold", what, source=str(model), target=str(source), temperature=fitted)
        keras = _probabilities(source, "keras", "Keras failed", images)
        for form in wanted:
            note(f"{form.name:12} conversion, then the same images")
            made = folder / form.file
            target, own = made / form.model, facts | {"format": form.name}
            target.parent.mkdir(exist_ok=True)
            try:
                what, backend = f"the conversion to {form.name} failed", "tensorflow"  # whose the converters are
                job: dict[str, Any] = {"source": str(source), "target": str(target), "facts": own}
                call("fmnist.export.jobs:convert", what, arrays, backend=backend, **job)
                if form.finish:
                    finish[form.name](made, own)
                parity = compare(_probabilities(target, form.name, f"{form.name} failed", images), keras, labels)
            except FmnistError as error:
                refused.append({"format": form.name, "problems": [str(error)], "written": False})
                continue
            problems = parity.problems(form.limits)
            if problems:
                refused.append({"format": form.name, "problems": problems, "written": force})
                if not force:
                    continue
            row = {"format": form.name, "file": form.file, "bytes": size(made), "sha256": sha256(made)}
            files[form.name] = row | known | asdict(parity) | {"passed": not problems, "forced": bool(problems)}
            index["files"] = [files[name] for name in FORMATS if name in files]
            _publish(made, run.exports / form.file)
            write_json(run.exports_index, index)
            remember(str(row["sha256"]))
            written.append(form.name)
    return index | {"written": written, "refused": refused}


@contextlib.contextmanager
def _unfinished(exports: Path) -> Iterator[Path]:
    """Give a hidden folder inside `exports/`; where a kill leaves it, the run's next lock removes it."""
    try:
        exports.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=exports) as folder:
            yield Path(folder)
    except OSError as error:
        raise RunError(f"cannot write {exports}: {error.strerror or error}") from error


def _common_facts(run: RunDirectory, config: dict[str, Any]) -> dict[str, Any]:
    """Return what all exported files of a run have in common; `run_id` tells apart runs of the same name."""
    digest, names = sha256(run.model), config["dataset"]["class_names"]
    size = shape.full(config["dataset"]["image_shape"])
    values = "grey, 0 to 255" if size[2] == 1 else "red, green and blue, 0 to 255"
    return {
        "fmnist": environment.machine()["fmnist"],
        "run": run.name,
        "run_id": digest[:16],
        "model_sha256": digest,
        "class_names": names,
        "image_shape": shape.stored(size),
        "preparation": config["dataset"].get("preparation"),
        "input": {"name": "image", "dtype": "uint8", "shape": [None, *size], "values": values},
        "output": {"name": "probabilities", "dtype": "float32", "shape": [None, len(names)]},
    }


def _examples(config: dict[str, Any], dataset: Dataset) -> np.ndarray:
    """Draw images from those that the run was trained on: uint8 (N, H, W, C)."""
    trained_on, _ = run_split(config, dataset.train_labels, dataset.num_validation)
    return dataset.train_images[np.sort(np.random.default_rng(0).permutation(trained_on)[:EXAMPLES])]


def _probabilities(path: Path, format: str, problem: str, images: np.ndarray) -> np.ndarray:
    _, answer = call("fmnist.export.jobs:answer", problem, {"images": images}, path=str(path), format=format)
    return answer["probabilities"]


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(part.stat().st_size for part in parts(path))


def _publish(made: Path, target: Path) -> None:
    """Move a finished file or folder to its name, whole on the disk before it has that name."""
    for part in parts(made):
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
    if target.is_dir():  # a folder cannot be replaced in one step
        shutil.rmtree(target)
    os.replace(made, target)
    sync_directory(target.parent)
