"""Collects pictures of classes as they are recorded: a folder for each class, which `import_data` takes."""

import contextlib
import datetime
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fmnist.errors import InputError, RunError
from fmnist.images.reading import is_clutter, walk
from fmnist.images.recipe import picture
from fmnist.run.directory import atomic_path
from fmnist.text import plain, plural

SIDE = 224
"""Height and width in pixels in which pictures are kept."""
MAX_CLASSES, MAX_PICTURES, MAX_COLLECTIONS = 10, 200, 100  # pictures of a class
_LONGEST = 40  # letters of a name
_UNSAFE = '<>:"/\\|?*'  # no file system's names have all of them


class Collection:
    """The pictures in one folder; a name that is given is looked up there, never opened.

    Every method raises a `RunError` where the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        """Name a folder, existing or not."""
        self.folder = folder

    def classes(self) -> dict[str, list[Path]]:
        """Return the pictures of each class, the oldest first; empty where nothing was recorded yet."""
        with _told(self.folder):
            found = _subfolders(self.folder)
            return {path.name: sorted(walk(path)[0], key=lambda one: (one.stat().st_mtime_ns, one)) for path in found}

    def add_class(self, name: str) -> None:
        """Make a class without pictures; an `InputError` if the name is taken or unsafe, or there are 10 classes."""
        name, known = safe_name(name), self.classes()
        if name.casefold() in map(str.casefold, known):
            raise InputError(f"there is a class '{name}' already; choose another name")
        if len(known) >= MAX_CLASSES:
            raise InputError(f"there are {len(known)} classes, and no more are taken; remove one first")
        if not known and len(collections(self.folder.parent)) >= MAX_COLLECTIONS:
            raise InputError(f"{self.folder.parent} holds {MAX_COLLECTIONS} collections; remove one first")
        with _told(self.folder):
            (self.folder / name).mkdir(parents=True)

    def remove_class(self, name: str) -> None:
        """Remove a class with all its pictures."""
        self._pictures(name)
        with _told(self.folder):
            shutil.rmtree(self.folder / name)

    def add(self, name: str, pixels: np.ndarray) -> int:
        """Keep a picture of a class, uint8 (H, W, 3), as PNG; return how many the class has now.

        Raises:
            InputError: there is no such class, or it has 200 pictures.
        """
        count = len(self._pictures(name))
        if count >= MAX_PICTURES:
            raise InputError(f"'{name}' has {plural(count, 'picture')}, and no more are taken; remove some first")
        moment = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        with atomic_path(self.folder / name / f"{moment}.png") as path:
            picture(pixels).save(path, "PNG")
        return count + 1

    def remove_last(self, name: str) -> None:
        """Remove the newest picture of a class, if it has one."""
        with _told(self.folder):
            for path in self._pictures(name)[-1:]:
                path.unlink(missing_ok=True)

    def _pictures(self, name: str) -> list[Path]:
        found = self.classes().get(name)
        if found is None:
            raise InputError(f"there is no class '{plain(name)[:_LONGEST]}' in {self.folder}; load the page again")
        return found


def collections(folder: Path) -> list[str]:
    """Return the names of the collections in a folder, the one that was last changed first."""
    with _told(folder):
        found = _subfolders(folder)
        return [path.name for path in sorted(found, key=lambda path: -path.stat().st_mtime_ns)]


def safe_name(text: str) -> str:
    """Return the name that a user gave to a class or a collection as a folder can have it.

    Raises:
        InputError: it is empty, longer than 40 letters, hidden, or has a sign in it that a path or a terminal minds.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    shown = name.isprintable() and not set(name) & set(_UNSAFE)
    if not 0 < len(name) <= _LONGEST or not shown or is_clutter(name) or name[0] == "-" or name[-1] == ".":
        wanted = f"1 to {_LONGEST} letters, digits and spaces, none of {' '.join(_UNSAFE)}, no dash or dot before them"
        raise InputError(f"nothing can be named '{plain(text[: 2 * _LONGEST])}'; expected {wanted}")
    return name


def _subfolders(folder: Path) -> list[Path]:
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in inside if path.is_dir() and not is_clutter(path.name))


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot use {folder}: {error.strerror or error}") from error
