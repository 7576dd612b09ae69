"""Turns a text or Python values into a table: for each name a list of cells, a row an entry. Knows no meaning of names.

A history is nested in one of many ways: rows of names, names of rows, sets of images of scores of epochs. One rule
reads all of them: on the way to a number one step is a place in a list or a key that is a number, which is its row; the
other steps are its name.
"""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.errors import InputError

MAX_ROWS = 100_000
# Where every row has names of its own, a table has as many cells as rows and names multiplied.
MAX_NAMES, MAX_CELLS = 10_000, 5_000_000
EXAMPLE = "epoch,loss,accuracy,val_loss,val_accuracy"
Table = dict[str, list[Any]]

_EXPECTED = 'a list of numbers for each column, {"loss": [...], "val_loss": [...]}, or a list of rows'
_DEPTH = 5  # steps on the way to a number; more are not looked at
_PLACE = re.compile(r"(?:epoch[\W_]?)?(\d{1,9})", re.ASCII | re.IGNORECASE)
# A long table has a number a row, and its name beside it: `epoch,metric,data,value`. Or a row for each set of images.
_METRIC, _VALUE, _NUMBERED = ("metric", "metricname", "tag", "key"), ("value", "metricvalue"), ("epoch", "step")
_SET = ("mode", "phase", "split", "subset", "set", "data", "dirname")
_SETS = re.compile("train|learn|val|eval|dev|test", re.IGNORECASE)


def from_text(text: str) -> Table:
    """Return the table of a CSV text (commas, semicolons, tabs or bars), a JSON text or a text of a JSON object a line.

    Raises:
        InputError: it is none of these, or there are no rows.
    """
    return table(_from_json(text)) if text.lstrip()[:1] in ("{", "[") else _named_rows(_from_csv(text))


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = InputError(f"this is not JSON: {error}")
    rows: list[Any] = []
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            if not rows:
                raise problem from None
            if number < len(lines):  # the last one may be being written
                raise InputError(f"line {number} is not JSON: {error}") from error
    return rows


def _from_csv(text: str) -> Table:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(",;\t|", key=header.count)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        stripped = ([cell.strip() for cell in line] for line in lines)
        # One row more than the names and all that may be: so many are told, and no more are held.
        rows = list(itertools.islice((row for row in stripped if any(row)), MAX_ROWS + 2))
    except csv.Error as error:
        raise InputError(f"this is not a CSV file: {error}") from error
    _check_size(len(rows) - 1, max(map(len, rows), default=0))
    # Without the names that are written once more after a restart, and the rule below those of a Markdown table.
    rows = rows[:1] + [row for row in rows[1:] if row != rows[0] and set("".join(row)) - set("-:")]
    if len(rows) < 2:
        raise InputError(f"there are no rows; expected a line of names, such as {EXAMPLE}, and a line for each epoch")
    names = rows[0]
    for number, row in enumerate(rows[1:], 2):
        if any(row[len(names) :]):
            raise InputError(f"line {number} has {len(row)} cells, the line of names has {len(names)}")
    mark = "." if separator == "," else ","  # where the comma does not separate, it may be the decimal mark
    cells = [[cell.replace(mark, ".") for cell in row[: len(names)]] for row in rows[1:]]
    return {name: column for name, *column in itertools.zip_longest(names, *cells, fillvalue="") if name}


def table(content: Any) -> Table:
    """Return the table of Python values, however they are nested.

    Raises:
        InputError: there are no numbers in rows, or too many rows.
    """
    content = _rows_of_pandas(content)
    cells: dict[tuple[str, ...], dict[int, Any]] = {}
    padded = False
    for path, row, first, cell in _cells(content):
        column = cells.setdefault(path, {})
        column[row] = cell
        padded |= first
        _check_size(len(column), len(cells))
    if not cells:
        if isinstance(content, Sequence | Mapping) and _is_empty(content):
            raise InputError("there are no epochs in this history")
        raise InputError(f"a history came as {type(content).__name__}; expected {_EXPECTED}")
    while len(cells) > 1 and len({path[:1] for path in cells}) == 1 and min(map(len, cells)) > 1:
        cells = {path[1:]: column for path, column in cells.items()}  # a key around all of them says nothing
    every = sorted({row for column in cells.values() for row in column})
    _check_size(len(every), len(cells))
    return _named_rows({
        "/".join(path): [column.get(row) for row in (every if padded else sorted(column))]
        for path, column in cells.items()
    })  # fmt: skip


def _rows_of_pandas(content: Any) -> Any:
    """Return a data frame, or what `to_json` makes of one, as columns or rows; anything else as it is."""
    if hasattr(content, "reset_index"):
        return content.reset_index(drop=content.index.name is None).to_dict("list")
    if not isinstance(content, Mapping) or not {"columns", "schema"} & content.keys():
        return content
    names, rows = content.get("columns"), content.get("data")
    if names and isinstance(rows, Sequence) and all(isinstance(row, Sequence) for row in rows):
        return [dict(zip(map(str, names), row, strict=False)) for row in rows]  # orient="split"
    return rows  # orient="table"


def _is_empty(content: Any) -> bool:
    values = content.values() if isinstance(content, Mapping) else content
    return all(isinstance(value, Sequence | Mapping | np.ndarray) and not len(value) for value in values)


def _cells(
    content: Any, path: tuple[str, ...] = (), row: int | None = None, first: bool = False
) -> Iterator[tuple[tuple[str, ...], int, bool, Any]]:
    """Yield for each value in a row its name, its row, whether the row came before the end of the name, and itself."""
    if isinstance(content, str | bytes | float | int | None) or not isinstance(
        content, Mapping | Sequence | np.ndarray
    ):
        if row is not None and path:
            yield path, row, first, content
    elif not isinstance(content, Mapping):
        for place, value in enumerate(content if row is None else ()):  # a list in a list has no row of its own
            yield from _cells(value, path, place)
    elif len(path) < _DEPTH:
        for key, value in content.items():
            number = _PLACE.fullmatch(str(key))
            if number and row is None:
                yield from _cells(value, path, int(number[1]))
            else:
                yield from _cells(value, (*path, str(key).strip()), row, row is not None)


def _check_size(rows: int, names: int) -> None:
    if rows > MAX_ROWS:
        raise InputError(f"there are {rows:,} rows; expected one for each epoch, {MAX_ROWS:,} at most")
    if names > MAX_NAMES or rows * names > MAX_CELLS:
        raise InputError(f"there are {names:,} columns of {rows:,} rows; expected the scores of a training")


def _named_rows(columns: Table) -> Table:
    """Return a table in which the text of a row, such as `loss` or `val`, has become part of the columns' names."""
    rows = max(map(len, columns.values()), default=0)
    plain = {re.sub(r"[\W_]", "", name.lower()): name for name, cells in columns.items() if len(cells) == rows}
    metric, value, number, images = (
        next((plain[name] for name in names if name in plain), "") for names in (_METRIC, _VALUE, _NUMBERED, _SET)
    )
    texts = [str(cell) for cell in columns.get(images, []) if cell not in (None, "")]
    images = images if texts and all(map(_SETS.match, texts)) else ""
    is_long = bool(metric and value and number)
    if not is_long and not images:
        return columns
    naming = [name for name in (images, metric if is_long else "") if name]
    named = [value] if is_long else [name for key, name in plain.items() if name not in naming and key not in _NUMBERED]
    made: dict[Any, dict[str, Any]] = {}
    for row in range(rows):
        words = [str(columns[name][row] or "") for name in naming]
        # The numbers of one epoch come together; if there are two of a name, the later one counts.
        place = str(columns[number][row]) if is_long else row
        new = made.setdefault(
            place, {name: columns[name][row] for name in plain.values() if name not in (*naming, *named)}
        )
        for name in named:
            if columns[name][row] not in (None, ""):
                new["/".join([*words, *([] if is_long else [name])])] = columns[name][row]
    names = dict.fromkeys(name for row in made.values() for name in row)
    _check_size(len(made), len(names))
    return {name: [row.get(name) for row in made.values()] for name in names}
