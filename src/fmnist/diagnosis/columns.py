"""Finds the columns of a history in CSV or Python values, by their names."""

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.errors import InputError, did_you_mean

MAX_ROWS = 100_000

_ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy", "top_1")
_TRAIN, _VALIDATION = ("train", "training"), ("val", "validation", "valid", "dev", "test")
_LOSSES = ("loss", "cross_entropy")
# What a column may be called, the name that is preferred first. `loss` and `accuracy` are Keras's running averages.
COLUMNS = {
    "epoch": ("epoch", "epochs"),
    "seconds": ("seconds", "epoch_seconds", "time", "duration"),
    "learning_rate": ("learning_rate", "lr"),
    "loss": _LOSSES,
    "accuracy": _ACCURACIES,
    "train_loss": tuple(map("_".join, itertools.product(_TRAIN, _LOSSES))),
    "train_accuracy": tuple(map("_".join, itertools.product(_TRAIN, _ACCURACIES))),
    "val_loss": tuple(map("_".join, itertools.product(_VALIDATION, _LOSSES))),
    "val_accuracy": tuple(map("_".join, itertools.product(_VALIDATION, _ACCURACIES))),
}
EXAMPLE = "epoch,loss,accuracy,val_loss,val_accuracy"


def from_csv(text: str) -> dict[str, list[str]]:
    """Return the columns of a CSV text, separated by commas, semicolons or tabs, as text."""
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        # One row more than the names and all that may be: so many are told, and no more are held.
        rows = list(itertools.islice((row for row in lines if any(map(str.strip, row))), MAX_ROWS + 2))
    except csv.Error as error:
        raise InputError(f"this is not a CSV file: {error}") from error
    if len(rows) < 2:
        raise InputError(f"there are no rows; expected a line of names, such as {EXAMPLE}, and a line for each epoch")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) > len(names):
            raise InputError(f"line {number} has {len(row)} cells, the line of names has {len(names)}")
    mark = "." if separator == "," else ","  # where the comma does not separate, it may be the decimal mark
    cells = [[cell.strip().replace(mark, ".") for cell in row] for row in rows[1:]]
    return {name: column for name, *column in itertools.zip_longest(names, *cells, fillvalue="")}


def _columns(content: Any) -> dict[str, list[Any]]:
    """Return columns of equal length."""
    if isinstance(content, Sequence) and all(isinstance(row, Mapping) for row in content):
        names = dict.fromkeys(name for row in content for name in row)
        content = {name: [row.get(name) for row in content] for name in names}
    if not isinstance(content, Mapping) or not all(
        isinstance(cells, Sequence | np.ndarray) and not isinstance(cells, str) for cells in content.values()
    ):
        raise InputError(
            f"a history came as {type(content).__name__}; expected a list of numbers for each column, "
            '{"loss": [...], "val_loss": [...]}, or a list of rows'
        )
    columns = {str(name): list(cells) for name, cells in content.items()}
    rows = max(map(len, columns.values()), default=0)
    if not rows:
        raise InputError("there are no epochs in this history")
    if rows > MAX_ROWS:
        raise InputError(f"there are {rows:,} rows; expected one for each epoch, {MAX_ROWS:,} at most")
    if uneven := {name: len(cells) for name, cells in columns.items() if len(cells) != rows}:
        raise InputError(f"the columns differ in length: {uneven}, the others {rows}; expected an entry for each epoch")
    return columns


def recognise(content: Any) -> dict[str, list[Any]]:
    """Return the known columns under our names; of the names a column may have, the first that is there counts."""
    columns = _columns(content)
    plain = {re.sub(r"[\s\-./]+", "_", name.strip().lower()): cells for name, cells in columns.items()}
    present = {name: [alias for alias in aliases if alias in plain] for name, aliases in COLUMNS.items()}
    found = {name: plain[aliases[0]] for name, aliases in present.items() if aliases}
    if not found.keys() - {"epoch", "seconds", "learning_rate"}:
        known = [alias for aliases in COLUMNS.values() for alias in aliases]
        hint = next((text for name in plain if name not in known and (text := did_you_mean(name, known))), "")
        raise InputError(f"no known column among {', '.join(columns)[:200]}{hint}; expected for instance {EXAMPLE}")
    return found


def numbers(name: str, cells: list[Any]) -> np.ndarray:
    """Return float64; what is empty, None or infinite becomes NaN."""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.lower() in ("", "na", "n/a", "none", "null", "-")):
            continue
        try:
            values[row] = float(cell)
        except (TypeError, ValueError):
            raise InputError(f"column '{name}', row {row + 1}: got {cell!r:.60}, expected a number") from None
    return np.where(np.isfinite(values), values, np.nan)
