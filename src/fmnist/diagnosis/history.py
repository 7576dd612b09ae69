"""Training histories from anywhere, brought into one form. Judges nothing.

Read are our `history.csv`, the `History.history` of Keras as JSON, the files of Keras's `CSVLogger`, and plain CSV
files from elsewhere. Columns are known by their names, in whatever order and with whatever separator they come.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import InputError, did_you_mean

MAX_BYTES = 16 * 2**20
MAX_ROWS = 100_000

_ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy", "top_1")
_TRAIN, _VALIDATION = ("train", "training"), ("val", "validation", "valid", "dev", "test")


def _names(prefixes: Sequence[str], scores: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}_{score}" for prefix in prefixes for score in scores)


# What a column may be called, the name that is preferred first. `loss` and `accuracy` are Keras's running averages.
COLUMNS = {
    "epoch": ("epoch", "epochs"),
    "seconds": ("seconds", "epoch_seconds", "time", "duration"),
    "learning_rate": ("learning_rate", "lr"),
    "loss": ("loss", "cross_entropy"),
    "accuracy": _ACCURACIES,
    "train_loss": _names(_TRAIN, ("loss", "cross_entropy")),
    "train_accuracy": _names(_TRAIN, _ACCURACIES),
    "val_loss": _names(_VALIDATION, ("loss", "cross_entropy")),
    "val_accuracy": _names(_VALIDATION, _ACCURACIES),
}
_FRACTIONS = ("accuracy", "train_accuracy", "val_accuracy")
EXAMPLE = "epoch,loss,accuracy,val_loss,val_accuracy"


@dataclass(frozen=True)
class History:
    """A history in its normal form: an entry an epoch in every array, NaN where there is no value.

    Attributes:
        epochs: float64 (N,), counted from 1, ascending.
        train_loss: float64 (N,), at the end of each epoch: measured, or set forward from the running average.
        train_accuracy: float64 (N,), 0 to 1, likewise.
        val_loss: float64 (N,).
        val_accuracy: float64 (N,), 0 to 1.
        seconds: float64 (N,), of each epoch.
        learning_rate: the highest one, if the file has it.
        first_loss: the first training loss there is, the running average where there is one.
        highest_loss: the highest finite loss of any kind.
        measured: whether the training scores were measured after each epoch.
        broken: the epoch from which on the training loss is not a finite number, if it stays so to the end.
        notes: what the reader should know of how the file was read.
    """

    epochs: np.ndarray
    train_loss: np.ndarray
    train_accuracy: np.ndarray
    val_loss: np.ndarray
    val_accuracy: np.ndarray
    seconds: np.ndarray
    learning_rate: float | None
    first_loss: float
    highest_loss: float
    measured: bool
    broken: int | None
    notes: tuple[str, ...]


def read_history_file(path: str | Path) -> History:
    """Read a history file, CSV or JSON, whatever its suffix.

    Raises:
        InputError: it cannot be read, is too large, or holds no history; says what came and what was expected.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path} has more than {MAX_BYTES // 2**20} MiB; expected a history: a few numbers an epoch"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: {error}; expected CSV or JSON") from error
    try:
        return parse(_from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_csv(text))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse(content: Any) -> History:
    """Bring a history into its normal form.

    Args:
        content: columns (a dictionary of lists, as Keras's `History.history`), rows (a list of dictionaries, as
            `read_history` returns them), or an object with such an attribute `history`. Cells may be numbers, text,
            None or NaN.

    Raises:
        InputError: no validation scores, no training scores, no rows, cells that are no numbers.
    """
    content = getattr(content, "history", content)
    if isinstance(content, Mapping) and isinstance(content.get("history"), Mapping | list):
        content = content["history"]
    columns, notes = _recognise(_columns(content)), []
    rows = max(map(len, columns.values()))
    raw = {name: _numbers(name, cells) for name, cells in columns.items()}
    if "val_loss" not in raw and "val_accuracy" not in raw:
        raise InputError(
            f"no validation scores among the columns {', '.join(columns)}; expected val_loss or val_accuracy "
            f"(for instance {EXAMPLE}); without images kept for validation a history cannot be judged"
        )
    for name in _FRACTIONS:
        # Some write 92.4 where others write 0.924; a fraction is never above 1.
        if name in raw and np.nanmax(np.where(np.isfinite(raw[name]), raw[name], 0), initial=0) > 1.5:
            raw[name] = raw[name] / 100
            notes.append(f"{name} is read as percent.")
    for name, values in raw.items():
        finite = values[np.isfinite(values)]
        if "loss" in name and (finite < 0).any():
            raise InputError(f"column '{name}' holds {finite.min():g}; expected losses of 0 or more (cross-entropy)")
        if name in _FRACTIONS and ((finite < 0) | (finite > 1)).any():
            raise InputError(f"column '{name}' holds values outside 0 to 1 (or 0 to 100 percent)")
    epochs = _epochs(raw.get("epoch"), rows, notes)
    nothing = np.full(rows, np.nan)
    kind = "loss" if {"loss", "train_loss"} & raw.keys() else "accuracy"
    if not {kind, f"train_{kind}"} & raw.keys():
        raise InputError(
            f"no training scores among the columns {', '.join(columns)}; expected loss or train_loss (for "
            f"instance {EXAMPLE})"
        )
    pairs = [_training(raw, score, nothing) for score in ("loss", "accuracy")]
    measured = pairs[kind == "accuracy"][1]
    if not measured:
        notes.append(
            "The training scores are running averages, kept while an epoch runs; they lag behind by half an epoch, and "
            "are set forward by as much here. Dropout and augmentation make them look worse than the model is."
        )
    losses = [raw[name] for name in ("loss", "train_loss", "val_loss") if name in raw]
    highest = max((values[np.isfinite(values)].max(initial=0) for values in losses), default=0.0)
    first = next((float(values[0]) for values in losses if np.isfinite(values[0])), math.nan)
    rate = float(np.max(raw.get("learning_rate", nothing)))
    val_loss, val_accuracy = raw.get("val_loss", nothing), raw.get("val_accuracy", nothing)
    return History(
        epochs=epochs,
        train_loss=pairs[0][0],
        train_accuracy=pairs[1][0],
        val_loss=np.where(np.isfinite(val_loss), val_loss, np.nan),
        val_accuracy=np.where(np.isfinite(val_accuracy), val_accuracy, np.nan),
        seconds=raw.get("seconds", nothing),
        learning_rate=rate if math.isfinite(rate) and rate > 0 else None,
        first_loss=first,
        highest_loss=float(highest),
        measured=measured,
        broken=_broken(columns, raw, epochs),
        notes=tuple(notes),
    )


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}") from error


def _from_csv(text: str) -> dict[str, list[str]]:
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise InputError(f"this is not a CSV file: {error}") from error
    if len(rows) < 2:
        raise InputError(f"there are no rows; expected a line of names, such as {EXAMPLE}, and a line for each epoch")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) > len(names):
            raise InputError(f"line {number} has {len(row)} cells, the line of names has {len(names)}")
    cells = [[row[place].strip() if place < len(row) else "" for row in rows[1:]] for place in range(len(names))]
    if separator != ",":  # where the comma is not the separator it may be the decimal mark
        cells = [[cell.replace(",", ".") for cell in column] for column in cells]
    return dict(zip(names, cells, strict=True))


def _columns(content: Any) -> dict[str, list[Any]]:
    """Return columns of equal length."""
    if (
        isinstance(content, Sequence)
        and not isinstance(content, str)
        and all(isinstance(row, Mapping) for row in content)
    ):
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
    uneven = {name: len(cells) for name, cells in columns.items() if len(cells) != rows}
    if uneven:
        raise InputError(f"the columns differ in length: {uneven}, the others {rows}; expected an entry for each epoch")
    return columns


def _recognise(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the known columns under our names; the first of a column's names that is there counts."""
    plain = {re.sub(r"[\s\-./]+", "_", name.strip().lower()): cells for name, cells in columns.items()}
    found = {name: plain[alias] for name, aliases in COLUMNS.items() if (alias := _first(aliases, plain))}
    if not found.keys() - {"epoch", "seconds", "learning_rate"}:
        known = [alias for aliases in COLUMNS.values() for alias in aliases]
        hint = next((text for name in plain if name not in known and (text := did_you_mean(name, known))), "")
        raise InputError(f"no known column among {', '.join(columns)[:200]}{hint}; expected for instance {EXAMPLE}")
    return found


def _first(aliases: Sequence[str], names: Mapping[str, Any]) -> str | None:
    return next((alias for alias in aliases if alias in names), None)


def _numbers(name: str, cells: list[Any]) -> np.ndarray:
    """Return float64; an empty cell and None become NaN, and infinity stays for now."""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell is None or cell == "" or (isinstance(cell, str) and cell.lower() in ("na", "n/a", "none", "null", "-")):
            continue
        try:
            values[row] = float(cell)
        except (TypeError, ValueError):
            raise InputError(f"column '{name}', row {row + 1}: got {cell!r:.60}, expected a number") from None
    return values


def _epochs(given: np.ndarray | None, rows: int, notes: list[str]) -> np.ndarray:
    """Return epochs from 1: the given ones if they ascend, else the rows counted."""
    counted = np.arange(1.0, rows + 1)
    if given is None:
        return counted
    if not np.isfinite(given).all() or (np.diff(given) <= 0).any() or given[0] < 0:
        notes.append(f"The epochs of the file do not ascend; its {rows} rows are counted as epochs 1 to {rows}.")
        return counted
    return given + 1 if given[0] == 0 else given


def _training(raw: dict[str, np.ndarray], score: str, nothing: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return a training score at the end of each epoch, and whether it was measured there."""
    measured = raw.get(f"train_{score}", nothing)
    measured = np.where(np.isfinite(measured), measured, np.nan)
    if np.isfinite(measured).any():
        return measured, True
    running = raw.get(score, nothing)
    running = np.where(np.isfinite(running), running, np.nan)
    if len(running) < 2:
        return running, False
    # The average over an epoch belongs to its middle; its end lies half way to the middle of the next. The last
    # epoch has no next one: it goes on by half of the step before it, but by a tenth at most.
    last = running[-1] + np.clip((running[-1] - running[-2]) / 2, -0.1 * running[-1], 0.1 * running[-1])
    halfway = np.append((running[:-1] + running[1:]) / 2, min(last, 1.0) if score == "accuracy" else last)
    return np.where(np.isfinite(halfway), halfway, running), False


def _broken(columns: dict[str, list[Any]], raw: dict[str, np.ndarray], epochs: np.ndarray) -> int | None:
    """Return the epoch from which on, to the end, every training loss is written as NaN or infinity, not left empty."""
    written = [
        ~np.isfinite(raw[name]) & np.array([cell is not None and cell != "" for cell in columns[name]])
        for name in ("loss", "train_loss")
        if name in columns
    ]
    if not written:
        return None
    bad = np.logical_and.reduce(written)
    good = np.flatnonzero(~bad)
    start = good[-1] + 1 if len(good) else 0
    return int(epochs[start]) if start < len(bad) else None
