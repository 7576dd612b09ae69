"""Reads CSV files of two kinds: those that name picture files, and those that hold pixels. Knows no other table."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.data.dataset import CLASSES_FILE, read_class_names
from fmnist.data.idx import MAX_BYTES
from fmnist.errors import InputError, first_line
from fmnist.images.decoding import SUFFIXES
from fmnist.images.forms import tables
from fmnist.images.forms.arrays import as_images, as_labels, square, white_of
from fmnist.images.forms.found import Content, Found, Reading
from fmnist.images.forms.tables import NoLabels
from fmnist.images.reading import walk
from fmnist.text import plain, plural, some

_SUFFIXES = (".csv", ".tsv")
_BLOCK = 2048  # rows of pixels that are read at a time
_LOOKED_AT = 1000  # rows that tell which column of pixels is the label
_LEAST_PIXELS = 16
_COUNTS = {"", "index", "id", "unnamed: 0"}  # names of columns that only count the rows
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def find(place: Path, reading: Reading) -> Found | None:
    """Return the pictures of a CSV file, or of those of a folder, one a part."""
    return tables.find(place, _SUFFIXES, lambda path, part: _read(path, part, reading))


def named_files(path: Path) -> list[Path]:
    """Return the picture files that a CSV file names; none where it is another file, or cannot be read."""
    if path.suffix.lower() not in _SUFFIXES:
        return []
    try:
        table = _open(path, Reading())
        return [] if table.has_pixels else [Path(name) for name, _ in _names(table, "", Reading()).pictures]
    except InputError:
        return []


@dataclass(frozen=True)
class _Table:
    """A CSV file whose first rows have been looked at."""

    path: Path
    separator: str
    header: list[str]  # empty where there is none
    head: list[list[str]]  # at least one row below it
    has_pixels: bool

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows below the header."""
        return itertools.islice(_rows(self.path, self.separator), int(bool(self.header)), None)


def _rows(path: Path, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a file, header included; all have the same number of cells."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows, width = csv.reader(handle, delimiter=separator), 0
            for row in filter(None, rows):
                width = width or len(row)
                if len(row) != width:
                    told = f"has {plural(len(row), 'cell')}; expected {width}, as in the first row"
                    raise InputError(f"{path}, line {rows.line_num:,}: {told}")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table of text (CSV, UTF-8): {error}") from error


def _read(path: Path, part: str, reading: Reading) -> Found:
    table = _open(path, reading)
    return _pixels(table, part, reading) if table.has_pixels else _names(table, part, reading)


def _open(path: Path, reading: Reading) -> _Table:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: has more than {MAX_BYTES:,} bytes; split it into several files")
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        first = handle.readline(1 << 20)
    separator = max(",;\t|", key=first.count)
    head = list(itertools.islice(_rows(path, separator), _LOOKED_AT))
    header = head.pop(0) if head and _is_header(head[0]) else []
    if not head:
        raise InputError(f"{path}: has no row{' below its header' if header else ''}; expected a row an image")
    pixels = sum(map(bool, map(_NUMBER.fullmatch, head[0]))) >= _LEAST_PIXELS and not reading.image_column
    return _Table(path, separator, header, head, pixels)


def _is_header(row: Sequence[str]) -> bool:
    """Whether a row has names, which are no pictures' names, or counts its columns: numbers that go up by one."""
    numbers = [cell for cell in row if _NUMBER.fullmatch(cell)]
    steps = {float(after) - float(before) for before, after in itertools.pairwise(numbers)}
    words = len(numbers) * 2 < len(row) and not any(Path(cell).suffix.lower() in SUFFIXES for cell in row)
    return words or (len(numbers) >= _LEAST_PIXELS and steps == {1.0})


def _names(table: _Table, part: str, reading: Reading) -> Found:
    """Return the pictures of a table that names their files."""
    path, header = table.path, table.header or [str(number) for number in range(1, len(table.head[0]) + 1)]
    image = tables.column(header, reading.image_column, (), "image_column")
    if image is None:  # what the cells hold tells more than their column's name
        endings = [at for at, cell in enumerate(table.head[0]) if Path(cell).suffix.lower() in SUFFIXES]
        image = endings[0] if len(endings) == 1 else tables.column(header, None, tables.IMAGE_COLUMNS, "image_column")
    if image is None:
        image = tables.column(header, None, tables.ID_COLUMNS, "image_column")
    label = tables.column(header, reading.label_column, tables.LABEL_COLUMNS, "label_column")
    split = tables.column(header, reading.split_column, tables.SPLIT_COLUMNS, "split_column")
    if label is None and image is not None and len(others := {*range(len(header))} - {image, split}) == 1:
        (label,) = others
    if image is None or label is None:
        lacking, setting = ("files", "image_column") if image is None else ("classes", "label_column")
        told = f"no column of the {lacking} is known among {plain(some(header, 8))}"
        raise NoLabels(f"{path}: {told}; name it with `{setting}={header[-1]!r}`")
    rows = list(table.rows())
    files = _located([row[image] for row in rows], path, reading)
    used = [header[image], header[label], *([header[split]] if split is not None else [])]
    settings = "`image_column`, `label_column`, `split_column`"
    return Found(
        labels=[row[label].strip() for row in rows],
        pictures=files,
        parts=[part if split is None else row[split].strip() for row in rows],
        notes=[f"took the columns {plain(', '.join(used))} ({settings})"],
    )


def _located(names: list[str], path: Path, reading: Reading) -> list[tuple[str, Content]]:
    """Return the files that a table names: beside it, or else the only ones below its folder with these names.

    Raises:
        InputError: the first file is found nowhere, or the table came in an archive and one lies outside of it.
    """
    folder, known = path.parent, dict[str, list[Path]]()
    if not all((folder / name).is_file() for name in names):
        for picture in walk(folder)[0]:
            for name in {picture.name, picture.stem}:
                known.setdefault(name, []).append(picture)
    files: list[tuple[str, Content]] = []
    for name in names:
        if "\0" in name:
            raise InputError(f"{path}: names {plain(name)}; expected the name of a file")
        near = known.get(Path(name).name, [])
        file = folder / name if len(near) != 1 or (folder / name).is_file() else near[0]
        if reading.unpacked and not any(map(file.resolve().is_relative_to, reading.unpacked)):
            raise InputError(f"{path}: names {plain(name)}, which is not in the archive; expected its own pictures")
        files.append((str(file), file))
    if not any(Path(str(file)).is_file() for _, file in files):
        raise InputError(f"{path}: names {plain(names[0])}, and no such picture lies in {folder} or below")
    return files


def _pixels(table: _Table, part: str, reading: Reading) -> Found:
    """Return the images of a table with a label and pixels in each row."""
    path, header, head = table.path, table.header, table.head
    width, notes = len(head[0]), list[str]()
    given = tables.column(header or [""] * width, reading.label_column, tables.LABEL_COLUMNS, "label_column")
    split = tables.column(header, reading.split_column, tables.SPLIT_COLUMNS, "split_column") if header else None
    counts = {at for at, name in enumerate(header) if name.strip().lower() in _COUNTS}
    label = _label_column(head) if given is None else given
    if given is None and header and square(width - len(counts)):
        raise NoLabels(f"{path}: each row has {width - len(counts):,} pixels and no label; expected one more column")
    if given is None:
        notes.append(f"took column {label + 1} as the label (`label_column='{label + 1}'`)")
    columns = [at for at in range(width) if at not in counts | {label, split}]
    rows = [(row[label], row[split] if split is not None else part) for row in table.rows()]
    labels = np.array([label.strip() for label, _ in rows])
    if all(_NUMBER.fullmatch(text) for text in labels):
        labels = labels.astype(np.float64)
    where = f"{path}, pixels"
    first = _numbers(([row[at] for at in columns] for row in head), where)
    whole = bool((first == np.rint(first)).all())
    white = reading.white or (255.0 if whole else white_of(first, where))
    images, told = as_images(first[:1], where, reading.channels, white)
    if not whole and reading.white is None:
        notes.append(f"fractions, of which {white:g} is taken as white (`white={white:g}`)")

    def pictures() -> Iterator[tuple[str, Content]]:
        below, number = table.rows(), 0
        while block := list(itertools.islice(below, _BLOCK)):
            values = _numbers(([row[at] for at in columns] for row in block), where)
            for image in as_images(values, where, reading.channels, white)[0]:
                number += 1
                yield f"{path}, row {number:,}", image

    return Found(
        labels=as_labels(labels, f"{path}, labels", read_class_names(path.parent / CLASSES_FILE)),
        pictures=pictures(),
        parts=[part for _, part in rows],
        channels=images.shape[-1],
        order=read_class_names(path.parent / CLASSES_FILE) or (),
        notes=notes + told,
    )


def _numbers(rows: Iterable[list[str]], where: str) -> NDArray[np.float64]:
    try:
        return np.array([np.array(row, np.float64) for row in rows])
    except ValueError as error:
        raise InputError(f"{where}: {first_line(error)}; expected numbers") from error


def _label_column(head: list[list[str]]) -> int:
    """Return the first or the last column: the one that is no number, or else has the fewer values, but several."""
    words = [at for at, cell in enumerate(head[0]) if not _NUMBER.fullmatch(cell)]
    if len(words) == 1:
        return words[0]
    values = {at: len({row[at] for row in head}) for at in (0, len(head[0]) - 1)}
    return min(values, key=lambda at: (values[at] < 2, values[at]))
