"""Tells where the data of a run lay when the run was trained, and how a command names it. Reads no data."""

from pathlib import Path

from fmnist.data import sources
from fmnist.run import results
from fmnist.run.directory import RunDirectory, is_study, runs_dir_flags


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
    if is_study(runs_dir):
        runs_dir = runs_dir.parent
    return [*([["--data-dir", str(folder)]] if folder else []), *runs_dir_flags(runs_dir)]
