"""Task files: all that a worker needs to carry out a run, wherever it starts. No arrays travel."""

import os
from pathlib import Path

from fmnist.config import Config
from fmnist.data import sources
from fmnist.data.dataset import Dataset
from fmnist.errors import InputError
from fmnist.predictor.process import python
from fmnist.run.directory import RunDirectory, write_json

FOLDER = "tasks"  # in the study's folder
WORKER = "fmnist.study.engines.worker:main"  # takes the task file as its last argument
# What decides about results or data, besides the settings, and is not told by the run's files.
VARIABLES = ("FMNIST_CACHE", "FMNIST_OFFLINE", "KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS")


def threads(config: Config) -> int:
    """Return how many processor cores a run gets: its setting, or one, so that workers do not take one another's."""
    return config.engine.threads or 1


def write(folder: Path, run: RunDirectory, config: Config, dataset: Dataset) -> Path:
    """Write the task of a run, and return the file's absolute path.

    Raises:
        InputError: the data set lies in this process's memory alone, so that no other can load it.
    """
    if dataset.folder is None and dataset.sha256 != sources.official_sha256():
        raise InputError(
            f"the data set ({dataset.source}) is in this process's memory alone, and workers load it themselves; "
            "write it as four IDX files with `fmnist.write_idx`, and load it from their folder"
        )
    path = (folder / f"{run.path.name}.json").resolve()
    content = {
        "run": str(run.path.resolve()),
        "config": config.to_dict(),
        "data": str(dataset.folder) if dataset.folder else None,
        "data_sha256": dataset.sha256,
        "threads": threads(config),
        "working_directory": os.getcwd(),  # settings may name files below it
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    write_json(path, content)
    return path


def log(task: Path) -> Path:
    """Return the file that a worker's stdout and stderr are appended to."""
    return task.with_suffix(".log")


def command(task: Path) -> list[str]:
    """Return the command line of a task's worker: exit code 0 once the run is done; SIGTERM lets it be saved."""
    return [*python(WORKER), str(task)]
