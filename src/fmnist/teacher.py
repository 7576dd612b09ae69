"""The run or file that a network learns from: what it answers, and how it fits the student's data."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fmnist.config import Config
from fmnist.data import Dataset
from fmnist.data.split import run_split
from fmnist.errors import InputError
from fmnist.predictor.keras_file import open_keras
from fmnist.rundir import RunDirectory, find_run, read_json


class Teacher:
    """The model that a network learns from: what it answers, and what a run records of it."""

    def __init__(self, config: Config, dataset: Dataset) -> None:
        """Open it as a file from anybody is opened.

        Raises:
            InputError: there is no such run or file, it has no model yet, or it answers about something else.
        """
        name = str(config.distillation.teacher)
        run = None if name.endswith(".keras") else find_run(name)
        path = run.need(run.model, f"train --resume {run.path}") if run else Path(name)
        if not path.is_file():
            raise InputError(f"--teacher {name}: there is no such file; expected a run, or a .keras file")
        expected = list(dataset.class_names)
        if run and (known := read_json(run.config)["dataset"]["class_names"]) != expected:
            raise InputError(f"--teacher {name}: knows the classes {', '.join(known)}; expected {', '.join(expected)}")
        model = open_keras(path)
        found = (*model.image_shape, len(model.class_names))
        wanted = (*dataset.image_shape, dataset.num_classes)
        if found != wanted:
            raise InputError(
                f"--teacher {name}: takes images of {found[0]}×{found[1]} pixels and knows {found[2]} classes; "
                f"expected {wanted[0]}×{wanted[1]} and {wanted[2]}; take one that was trained on the same data"
            )
        self.probabilities = model.probabilities
        self.num_seen = _num_seen(run, config, dataset) if run else 0
        self.facts = {"run": run.name if run else None, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _num_seen(teacher: RunDirectory, config: Config, dataset: Dataset) -> int:
    """Return how many of a run's validation images its teacher learnt from; 0 where that was on other data."""
    known = teacher.environment.is_file() and read_json(teacher.environment).get("data_sha256")
    if known != dataset.sha256:
        return 0
    learnt, _ = run_split(read_json(teacher.config), dataset.train_labels)
    _, validation = run_split(config.to_dict(), dataset.train_labels)
    return len(np.intersect1d(learnt, validation))
