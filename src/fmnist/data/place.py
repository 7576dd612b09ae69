"""Finds the data of a run again, where it lay when the run was trained. The run tells the place and the SHA-256."""

import os
from pathlib import Path

from fmnist.data import sources
from fmnist.data.cache import Progress
from fmnist.data.dataset import Dataset, load_dataset, load_official, read_folder
from fmnist.errors import InputError
from fmnist.run import results
from fmnist.run.directory import STUDY_FILE, RunDirectory, runs_dir_flags


def load(
    run: RunDirectory, data_dir: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
) -> Dataset:
    """Return the data set that a run was trained on.

    Args:
        run: tells the folder and the SHA-256 of its data; one without these takes what `load_dataset` takes.
        data_dir: is read instead, whatever is in it.
        progress: as for `load_dataset`.

    Raises:
        InputError: the run's data has gone or was changed, or the folder's files can't be used.
        RunError: no source had the official files.
    """
    known = results.environment(run).get("data_sha256")
    if data_dir is not None or not known:
        return load_dataset(data_dir, progress=progress)
    folder = folder_of(run)
    if folder is not None and folder.is_dir():
        dataset = read_folder(folder)
    elif known == sources.official_sha256():
        dataset = load_official(progress=progress)
    elif os.environ.get("FMNIST_DATA"):
        dataset = load_dataset()
    else:
        raise InputError(f"{run.path} was trained on data from {folder}, which has gone; give its data with `data_dir`")
    if dataset.sha256 != known:
        where = f"in {folder}, which has changed" if dataset.folder == folder else f"other data than {dataset.source}"
        raise InputError(f"{run.path} was trained on {where}; give its data with `data_dir`")
    return dataset


def folder_of(run: RunDirectory) -> Path | None:
    """Return the folder that the data of a run was read from; None if nobody named one."""
    known = results.environment(run)
    named = known.get("data_dir")
    # Earlier versions kept it as the source alone, which for other data than the official is the folder.
    if "data_dir" not in known and results.trained_on(known, sources.official_sha256()) is False:
        named = known.get("data_source")
    return Path(named) if named else None


def train_flags(run: RunDirectory) -> list[list[str]]:
    """Return the flags, each with its value, of a `fmnist train` on the data of a run, with the new run beside it."""
    folder, runs_dir = folder_of(run), run.path.parent
    if (runs_dir / STUDY_FILE).is_file():
        runs_dir = runs_dir.parent
    return [*([["--data-dir", str(folder)]] if folder else []), *runs_dir_flags(runs_dir)]
