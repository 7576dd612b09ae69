"""Finds the files of a table, one a part or several, and in their header which column holds what."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from fmnist.errors import InputError, did_you_mean
from fmnist.images.forms.found import Found, joined, kind_of_part, part_in
from fmnist.images.reading import is_clutter
from fmnist.text import plain, plural, some

IMAGE_COLUMNS = {
    "image", "images", "img", "file", "filename", "file_name", "path", "filepath", "file_path", "image_path",
    "img_path", "image_name", "picture", "photo", "image_file",
}  # fmt: skip
ID_COLUMNS = {"id", "image_id"}  # of the pictures' names without their endings, where no other column names them
LABEL_COLUMNS = {"label", "labels", "class", "class_name", "classname", "category", "target", "y", "species", "breed"}
SPLIT_COLUMNS = {"split", "set", "part", "partition", "subset", "data_set"}
_DEEP = ("*", "*/*", "*/*/*")  # where the files of a table may lie in a folder


class NoLabels(InputError):
    """A table tells no classes."""


Read = Callable[[Path, str], Found]
"""Reads one file, which holds the part of this name; an empty one says that it does not tell."""


def find(place: Path, suffixes: Collection[str], read: Read) -> Found | None:
    """Return what the files of a table hold: of one file, or of those in a folder whose names tell their part.

    Where names tell parts, other files are passed over; so is a part for the test or for predictions that has no
    labels, as competitions give them.
    """
    places = [place] if place.is_file() else [path for deep in _DEEP for path in place.glob(deep)]
    files = sorted(path for path in places if path.suffix.lower() in suffixes and not is_clutter(path.name))
    if not files:
        return None
    parts = {path: "" if path == place else part_in(str(path.relative_to(place).with_suffix(""))) for path in files}
    named = [path for path in files if parts[path]] or files
    train = [path for path in named if kind_of_part(parts[path]) in ("train", None)]
    tables, notes = [read(path, parts[path]) for path in train], []
    for path in [path for path in named if path not in train]:
        try:
            tables.append(read(path, parts[path]))
        except NoLabels as error:
            notes.append(f"left out {path}: {error}")
    if not tables:
        raise InputError(f"{place}: holds {some([path.name for path in named], 3)}; expected one for training")
    found = joined(tables)
    found.notes += notes
    if others := [path.name for path in files if path not in named]:
        found.notes.append(f"left out {plural(len(others), 'file')} whose name tells no part: {some(others, 3)}")
    return found


def column(header: Sequence[str], given: str | None, known: Collection[str], setting: str) -> int | None:
    """Return the place of the column that a user named, or else of the only one with a known name; or None.

    Args:
        header: the names of all columns.
        given: a name, or a number, counted from 1; None to guess.
        known: names in small letters, with underscores between their words.
        setting: how the user says it, for messages.

    Raises:
        InputError: there is no such column, or several have known names.
    """
    if given is not None:
        if given in header:
            return list(header).index(given)
        if given.isdecimal() and 1 <= int(given) <= len(header):
            return int(given) - 1
        told = f"`{setting}={given!r}` is none of the columns {plain(some(header, 8))}"
        raise InputError(told + did_you_mean(given, list(header)))
    plainly = [re.sub(r"[\W_]+", "_", name.strip().lower()) for name in header]
    places = [at for at, names in enumerate(zip(header, plainly, strict=True)) if {*names} & {*known}]
    if len(places) > 1:
        could = " and ".join(plain(header[at]) for at in places)
        raise InputError(f"the columns {could} could each be meant; choose with `{setting}={header[places[0]]!r}`")
    return places[0] if places else None
