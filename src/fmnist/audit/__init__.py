"""Audits a data set: wrong labels, copies, outliers, blank images, each with what networks think that did not see it.

fmnist.audit_dataset(fmnist.preset("fast"), dataset, "audits/fashion-mnist")
"""

import hashlib
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import backend
from fmnist.audit import findings, folds, page, table
from fmnist.audit.folds import AuditWatcher
from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.errors import InputError, RunError
from fmnist.run import environment
from fmnist.run.directory import RunDirectory, atomic_path, is_study, read_json, write_json
from fmnist.training.progress import Interrupted

AUDIT, TABLE, PAGE, PROBABILITIES = "audit.json", "audit.csv", "audit.html", "probabilities.npz"


def audit_dataset(
    config: Config,
    dataset: Dataset,
    folder: str | Path,
    *,
    num_folds: int = 5,
    watcher: AuditWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Find images whose label looks wrong, copies, outliers and blank images, and write them as table and page.

    The training images are cut into folds; a network for each fold learns from the others and answers about it. Nothing
    in the data is changed: `audit.csv` has a column for what you decide, which `fmnist train --decisions` obeys. An
    audit that is finished is not made again; one that was interrupted goes on after the last whole fold.

    Args:
        config: of the networks, e.g. `fmnist.preset("fast")`. On few images they get more epochs.
        dataset: from `fmnist.load_dataset`.
        folder: to write `audit.csv`, `audit.html`, `audit.json` and `probabilities.npz` into. The last one has `train`,
            float32 (N, classes), of the networks that did not learn from the image, and `test`, the mean of all.
        num_folds: 2 or more.
        watcher: is told what happens; None stays silent.
        should_stop: asked after each segment of steps.
        overwrite: replace an audit of other data or with other settings.

    Returns:
        The contents of `audit.json`: `source`, `data_dir`, `images` (of each part), `preset`, `folds`, `agreement`
        (the share of the training images whose label the networks give, too), `found` (of each kind the number in each
        part), `seconds`, `environment`.

    Raises:
        InputError: the data set is too small, `config` has decisions, or the folder holds something else.
        RunError: cleanlab or scikit-learn is not installed, the folder is in use, or the disk is full.
        Interrupted: `should_stop` said so; the same call goes on.
    """
    watcher = watcher or AuditWatcher()
    folds.check(dataset, num_folds)
    if config.data.decisions:
        raise InputError("decisions: an audit looks at the data as it is; leave them out")
    for name in ("cleanlab", "sklearn"):
        if importlib.util.find_spec(name) is None:
            told = f"an audit needs '{name}', which is not installed"
            raise RunError(f"{told}; install it with: pip install 'fmnist[audit]'")
    backend.prepare(config.engine)
    backend.expect_many_models()
    place = RunDirectory(folder)
    paths = {name: place.path / name for name in (AUDIT, TABLE, PAGE, PROBABILITIES)}
    if place.exists() or is_study(place.path):
        raise InputError(f"{place.path} holds a run or a study; choose another folder")
    made_of = _identity(config, dataset, num_folds)
    with place.lock():
        before = read_json(paths[AUDIT]) if paths[AUDIT].is_file() else {}
        if before.get("made_of", made_of) != made_of:
            if not overwrite:
                raise InputError(
                    f"{place.path} holds an audit of other data or with other settings; choose another folder, or "
                    "replace it, and what was decided in it, with `overwrite=True`"
                )
            for path in (*paths.values(), *place.path.glob("fold-*.npz")):
                path.unlink(missing_ok=True)
        elif known := finished(place.path):
            return known
        started = time.monotonic()
        write_json(paths[AUDIT], {"state": "running", "made_of": made_of})
        answers = folds.out_of_fold(config, dataset, place, num_folds, watcher, should_stop)

        def progress(done: int, total: int) -> None:
            watcher.work("Looking for copies", done, total)
            if should_stop():
                raise Interrupted

        found = findings.find_all(dataset, answers, progress)
        parts = {"train": dataset.train_labels, "test": dataset.test_labels}
        result = {
            "state": "finished",
            "source": dataset.source,
            "data_dir": str(dataset.folder) if dataset.folder else None,
            "images": {part: len(labels) for part, labels in parts.items()},
            "preset": config.preset,
            "folds": num_folds,
            "agreement": float((answers.train.argmax(axis=1) == dataset.train_labels).mean()),
            "found": {
                kind: {part: sum((one.kind, one.part) == (kind, part) for one in found) for part in parts}
                for kind in findings.KINDS
            },
            "seconds": round(time.monotonic() - started, 1),
            "environment": environment.environment(),
            "made_of": made_of,
        }
        with atomic_path(paths[PROBABILITIES]) as temporary:
            np.savez_compressed(temporary, train=answers.train, test=answers.test)
        table.write(paths[TABLE], found)
        page.write(paths[PAGE], result, found, dataset)
        write_json(paths[AUDIT], result)
        for path in place.path.glob("fold-*.npz"):
            path.unlink()
        return result


def finished(folder: Path) -> dict[str, Any]:
    """Return the contents of `audit.json` of a whole audit; empty where there is none."""
    whole = all((folder / name).is_file() for name in (AUDIT, TABLE, PAGE, PROBABILITIES))
    result = read_json(folder / AUDIT) if whole else {}
    return result if result.get("state") == "finished" else {}


def _identity(config: Config, dataset: Dataset, num_folds: int) -> dict[str, Any]:
    """Return what an audit is made of, as JSON has it."""
    digest = hashlib.sha256()
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(np.ascontiguousarray(array).data)
    made_of = {"config": config.to_dict(), "folds": num_folds, "data": digest.hexdigest()}
    return dict(json.loads(json.dumps(made_of)))
