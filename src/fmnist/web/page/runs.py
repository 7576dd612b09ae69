"""Gathers what the page shows of the runs in a folder. A name that the page sends is looked up there, never opened."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.data.dataset import Dataset
from fmnist.errors import FmnistError, InputError
from fmnist.evaluation.evaluate import check_dataset
from fmnist.images.loading import load
from fmnist.run import results, schema
from fmnist.run.directory import RunDirectory, is_study, list_runs, read_json, runs_in, train_command
from fmnist.run.history import read_history
from fmnist.text import some

_MAX_PICTURES = 60


@dataclass(frozen=True)
class Facts:
    """The files of a run, as far as they are there."""

    run: RunDirectory
    config: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    diagnosis: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    exports: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name


class Runs:
    """The runs in a folder, and one that is served from elsewhere, read anew whenever they are asked for."""

    def __init__(self, folder: Path, data_dir: Path | None, served: Path | None = None) -> None:
        self._folder, self._data_dir, self._served = folder, data_dir, served

    def choices(self, served: str) -> tuple[list[str], str | None]:
        """Return the names, the newest first, and the one shown first: of the run that is served, else the newest."""
        names = [*self._all()]
        own = self._served.name if self._served is not None else served  # its folder's name goes before its own
        return names, next((name for name in (own, served, *names) if name in names), None)

    def train_command(self) -> str:
        """Return the command line that makes a run in the folder."""
        return train_command(self._folder)

    def left_out(self) -> str:
        """Say which runs are not among the choices: those of studies."""
        studies = [path.name for path in sorted(self._folder.glob("*")) if is_study(path)]
        return f"The runs of studies are left out: {some(studies, 5)}." if studies else ""

    def _all(self) -> dict[str, RunDirectory]:
        runs = {run.name: run for run in reversed(list_runs(self._folder))}
        if self._served is not None:
            served = RunDirectory(self._served)
            if served.name not in runs and served.exists():
                runs = {served.name: served, **runs}
        return runs

    def _run(self, name: str | None) -> RunDirectory | None:
        """Return the run of a name: with thousands of them, reading when each was started takes seconds."""
        if name is None:
            return None
        served = [RunDirectory(self._served)] if self._served is not None else []
        return next((run for run in (*runs_in(self._folder), *served) if run.name == name and run.exists()), None)

    def facts(self, name: str | None) -> Facts | None:
        """Return what is known of a run; None where there is none of that name."""
        run = self._run(name)
        if run is None:
            return None
        try:
            schema.check(run)
            history = read_history(run.history) if run.history.is_file() else []
            read = run.read_status(), results.metrics(run), results.diagnosis(run), history, results.exported_files(run)
            return Facts(run, read_json(run.config), *read)
        except (FmnistError, OSError) as error:
            return Facts(run, problem=str(error))

    def export(self, digest: str) -> tuple[Path, str] | None:
        """Return the exported file with a SHA-256, and a name to save it under; None where no run has it now."""
        for run in self._all().values():
            try:
                rows = results.exports(run).get("files", [])
                found = (results.exported_path(run, row) for row in rows if row.get("sha256") == digest)
                if path := next((path for path in found if path and path.is_file()), None):
                    return path, f"{run.name}-{path.name}"
            except (FmnistError, OSError):  # of a damaged run; others may have the file
                continue
        return None

    def pictures(self, name: str, true: int, predicted: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Return test pictures of one cell of a run's confusion matrix, those it was surest of first.

        They are uint8 (N, H, W, C), 60 at most, with the probabilities of the predicted class (N,) and how many there
        are.
        A `FmnistError` is raised if the run has no predictions, or the data set is not to be had here.
        """
        run = self._all()[name]
        probabilities, labels = _predictions(run)
        dataset = _dataset(run.path, self._data_dir)
        check_dataset(read_json(run.config), dataset)
        if not np.array_equal(labels, dataset.test_labels):
            raise InputError("the run was evaluated on another test set than the one that is here")
        inside = np.flatnonzero((labels == true) & (probabilities.argmax(axis=1) == predicted))
        sure = probabilities[inside, predicted]
        order = np.argsort(-sure, kind="stable")[:_MAX_PICTURES]
        return dataset.test_images[inside[order]], sure[order], len(inside)

    def right(self, name: str) -> np.ndarray | None:
        """Return which test pictures a run classifies rightly, bool (N,); None where it has no whole predictions."""
        try:
            probabilities, labels = _predictions(self._all()[name])
        except InputError:
            return None
        return probabilities.argmax(axis=1) == labels


def _predictions(run: RunDirectory) -> results.Predictions:
    return _kept_predictions(run.path, run.predictions.stat().st_mtime_ns if run.predictions.is_file() else 0)


@functools.lru_cache(4)
def _kept_predictions(path: Path, changed: int) -> results.Predictions:
    return results.predictions(RunDirectory(path))


@functools.lru_cache(1)
def _dataset(path: Path, data_dir: Path | None) -> Dataset:
    return load(RunDirectory(path), data_dir)
