"""What a data set holds before its pictures are decoded, the same for every form; and what a user may say about it."""

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import InputError
from fmnist.text import some

MAX_CLASSES = 256  # labels are bytes
PARTS = ("train", "val", "test")
# The words of a folder's, a file's or an array's name that call it a part of a data set.
_PARTS = {
    "train": {"train", "training", "trainset"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing", "testset", "eval", "evaluation"},
    "unlabelled": {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"},
}

Content = Path | bytes | NDArray[np.uint8]
"""A picture: its file, the bytes of one, or its levels, uint8 (H, W, C)."""


@dataclass(frozen=True)
class Reading:
    """What a user says about a data set; what is None is guessed, and the guess is told.

    Attributes:
        image_column: of a table: the column of the pictures or of their files' names.
        label_column: of a table: the column of the classes, or its number, counted from 1.
        split_column: of a table: the column that says which part a row belongs to.
        channels: whether the channels of arrays come `first`, (N, C, H, W), or `last`.
        white: the value of arrays that is white; 0 is black.
        cleanup: closes what was opened for reading, once all pictures are read.
        unpacked: the temporary folders with the content of archives, and the archive of each.
    """

    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    channels: str | None = None
    white: float | None = None
    cleanup: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    unpacked: dict[Path, Path] = field(default_factory=dict)

    def told(self, message: str) -> str:
        """Return a message in which archives stand for the temporary folders that they were unpacked into."""
        for folder, archive in reversed(self.unpacked.items()):
            message = message.replace(str(folder), str(archive))
        return message


@dataclass
class Found:
    """What lies in a place."""

    labels: list[str]  # the class of each picture
    pictures: Iterable[tuple[str, Content]]  # in the same order, each with its name in messages; read when asked for
    parts: list[str]  # the name of the part that each picture belongs to, empty where there are none
    channels: int | None = None  # of arrays, which are taken as they are
    order: Sequence[str] = ()  # of the classes, where the form gives one
    notes: list[str] = field(default_factory=list)  # what was guessed, and how to say otherwise
    unreadable: list[dict[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)  # files that are no pictures by their names
    form: str = ""

    def classes(self, where: Path) -> list[str]:
        """Return the names of the classes, in the form's order or sorted, numbers by their value.

        Raises:
            InputError: there are too few or too many, or one has no name that can be shown.
        """
        present = set(self.labels)
        names = [name for name in self.order if name in present] or sorted_names(present)
        if len(names) < 2 or len(names) > MAX_CLASSES:
            held = f"{len(names)} ({some(names, 3)})" if names else "none"
            raise InputError(f"{where}: the number of classes is {held}; expected 2 to {MAX_CLASSES}")
        if odd := [name for name in names if name != name.strip() or not name.isprintable() or not name]:
            raise InputError(f"{where}: {odd[0]!r} cannot name a class; rename it")
        return names

    def split(self, where: Path) -> tuple[NDArray[np.str_], dict[str, list[str]] | None]:
        """Return each picture's part, `train`, `val` or `test`, and the source's names for them; None without any.

        Without a part for the test, that for validation is it.
        """
        names = sorted({*self.parts} - {""})
        kinds = {name: kind_of_part(name) for name in names}
        if strange := [name for name in names if kinds[name] not in PARTS]:
            expected = "expected train, val and test, or words like these"
            raise InputError(f"{where}: a part is called {strange[0]!r}; {expected}")
        if names and "train" not in kinds.values() and "" not in self.parts:
            raise InputError(f"{where}: holds the parts {', '.join(names)}; expected one for training")
        if "test" not in kinds.values():
            kinds = {name: "test" if kind == "val" else kind for name, kind in kinds.items()}
        each = np.array([kinds.get(part, "train") for part in self.parts], np.str_)
        return each, {kind: [name for name in names if kinds[name] == kind] for kind in PARTS} if names else None


def joined(tables: Sequence[Found]) -> Found:
    """Return what lies in several files as one.

    Raises:
        InputError: some hold pictures in grey and some in colour, as arrays.
    """
    if len(kinds := {table.channels for table in tables}) > 1:
        raise InputError(f"the files hold images of {' and '.join(map(str, kinds))} channels; expected one kind")
    return Found(
        labels=[label for table in tables for label in table.labels],
        pictures=chain.from_iterable(table.pictures for table in tables),
        parts=[part for table in tables for part in table.parts],
        channels=tables[0].channels,
        order=tables[0].order,
        notes=list(dict.fromkeys(note for table in tables for note in table.notes)),
        unreadable=[row for table in tables for row in table.unreadable],
        passed_over=[path for table in tables for path in table.passed_over],
    )


def numbered(levels: NDArray[np.uint8], name: str) -> Iterator[tuple[str, Content]]:
    """Yield the images of an array with their names in messages."""
    return ((f"{name}, image {number:,}", image) for number, image in enumerate(levels, 1))


def sorted_names(names: Collection[str]) -> list[str]:
    """Return names sorted, numbers by their value."""
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def kind_of_part(name: str) -> str | None:
    """Return which part of a data set a name calls something: train, val, test, unlabelled, or None."""
    words = set(re.split(r"[\W\d_]+", name.lower()))
    return next((part for part, known in _PARTS.items() if words & known), None)


def part_in(name: str) -> str:
    """Return the word of a name that calls something a part of a data set, or an empty string."""
    return next((word for word in re.split(r"[\W\d_]+", name.lower()) if kind_of_part(word)), "")
