"""Opens the data set that a user names, or that a run was trained on; in a form other than IDX by way of the cache."""

import hashlib
import logging
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmnist.data import sources
from fmnist.data.cache import Cache, Progress, default_cache_dir
from fmnist.data.dataset import CLASSES_FILE, Dataset, holds_idx, load_official, read_folder
from fmnist.data.place import folder_of
from fmnist.errors import InputError, RunError
from fmnist.images.forms import csv_files
from fmnist.images.importing import import_data, told
from fmnist.images.reading import walk
from fmnist.run import results
from fmnist.run.directory import RunDirectory

Tell = Callable[[str], None]
logger = logging.getLogger(__name__)


def load_dataset(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    pictures: Callable[[int, int], None] | None = None,
    tell: Tell | None = None,
) -> Dataset:
    """Return the data set in a place, in any form that docs/data.md lists, or else the official Fashion-MNIST.

    The place is `data_dir`, else the environment's `FMNIST_DATA`. With neither, the official files are taken from the
    user's cache, the system's package, the official addresses or the distribution's package, whichever has them first,
    verified by SHA-256 each time.

    A folder of four IDX files is read as it is. Everything else is imported once, with the defaults of `import_data`,
    into the user's cache, and taken from there as long as its files have the same names, sizes and times.

    Args:
        data_dir: a folder or a file.
        progress: called as `progress(received_bytes, total_bytes or None, label)` while data is fetched.
        pictures: called as `pictures(done, total)` while pictures are imported.
        tell: called with a line on what was imported, and on each thing that was guessed or left out.

    Raises:
        InputError: what lies there can't be used.
        RunError: no source had the official files, or the cache cannot be written.
    """
    if data_dir is not None:
        return _open(Path(data_dir), "the data folder given", pictures, tell)
    if given := os.environ.get("FMNIST_DATA"):
        return _open(Path(given).expanduser(), "FMNIST_DATA", pictures, tell)
    return load_official(progress=progress)


def load(run: RunDirectory, data_dir: str | os.PathLike[str] | None = None, **how: Any) -> Dataset:
    """Return the data set that a run was trained on.

    Args:
        run: tells the folder and the SHA-256 of its data; one without these takes what `load_dataset` takes.
        data_dir: is read instead, whatever is in it.
        how: `progress`, `pictures` and `tell`, as for `load_dataset`.

    Raises:
        InputError: the run's data has gone or was changed, or the folder's files can't be used.
        RunError: no source had the official files.
    """
    known = results.environment(run).get("data_sha256")
    if data_dir is not None or not known:
        return load_dataset(data_dir, **how)
    folder = folder_of(run)
    if folder is not None and folder.is_dir():
        dataset = read_folder(folder)
    elif known == sources.official_sha256():
        dataset = load_official(progress=how.get("progress"))
    elif os.environ.get("FMNIST_DATA"):
        dataset = load_dataset(**how)
    else:
        raise InputError(f"{run.path} was trained on data from {folder}, which has gone; give its data with `data_dir`")
    if dataset.sha256 != known:
        where = f"in {folder}, which has changed" if dataset.folder == folder else f"other data than {dataset.source}"
        raise InputError(f"{run.path} was trained on {where}; give its data with `data_dir`")
    return dataset


def _open(place: Path, named_by: str, pictures: Callable[[int, int], None] | None, tell: Tell | None) -> Dataset:
    if not place.exists() or holds_idx(place):
        return read_folder(place, named_by=named_by)
    folder = _imported(place, pictures, tell or logger.info)
    return replace(read_folder(folder), source=f"{place}, imported into {folder}")


def _imported(place: Path, pictures: Callable[[int, int], None] | None, tell: Tell) -> Path:
    """Return the folder in the user's cache that holds what was made of a place, after making it if need be."""
    stem = re.sub(r"\W+", "-", place.resolve().name).strip("-")[:40]
    cache = Cache(default_cache_dir() / "imported")
    folder = cache.folder / f"{stem}-{_fingerprint(place)}"
    with cache.lock():
        if not holds_idx(folder):
            try:
                facts = import_data(place, folder, progress=pictures)
            except RunError as error:
                command = f"fmnist data import {shlex.quote(str(place))} --out FOLDER"
                raise RunError(f"{error}; `{command}` imports it into another folder") from error
            for line in told(facts):
                tell(line)
            tell(f"Imported  {facts['form']}, {facts['images']:,} images, {len(facts['class_names'])} classes")
    return folder


def _fingerprint(place: Path) -> str:
    """Return a digest of where a place is, and of the names, sizes and times of the files that its import may read."""
    digest = hashlib.sha256(os.fsencode(place.resolve()))
    if place.is_file():
        files = [place, place.parent / CLASSES_FILE, *csv_files.named_files(place)]
    else:
        files = [path for found in walk(place) for path in found]
    for path in filter(Path.is_file, files):
        facts = path.stat()
        digest.update(os.fsencode(path) + f"\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
