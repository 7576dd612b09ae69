"""Brings training histories from anywhere into one form. Judges nothing.

`tables` reads a file or Python values as a table, `columns` finds out what its columns are, `epochs` makes epochs of
its rows, `roles` says which column is which score. docs/histories.md shows what is understood of other tools' files.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.diagnosis import tables
from fmnist.diagnosis.columns import SCORES, find
from fmnist.diagnosis.epochs import Series, by_epoch, number_epochs, spent
from fmnist.diagnosis.roles import ROLES, assign
from fmnist.errors import InputError
from fmnist.run.directory import read_bounded
from fmnist.text import some

MAX_BYTES = 3 * 2**20  # parsed, JSON takes up to 25 times its size in memory
_TOLD = 12  # problems, and names of columns that are not used
_JSON = "write it as JSON from where it was made: `json.dump(history, open('history.json', 'w'))`"
# How files begin that are often taken for a text: what they are, and how to come to a history that is read.
_NO_TEXT = (
    (b"\x80", "a pickle, which can run code when it is opened", _JSON),
    (b"(dp", "a pickle, which can run code when it is opened", _JSON),
    (b"\x93NUMPY", "a NumPy array", _JSON),
    (b"\x89HDF", "an HDF5 file", _JSON),
    (b"PK", "a ZIP file, such as a workbook or a .keras or .pt file", "save the history as CSV, or " + _JSON),
    (b"PAR1", "a Parquet file", "save it with `to_csv`"),
)


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
        columns: which column of the file each is, by our names (`ROLES`).
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
    columns: dict[str, str]
    measured: bool
    broken: int | None
    notes: tuple[str, ...]

    def at(self, column: str, epoch: float) -> float:
        """Return a column's value at an epoch, from its neighbours where it has none; NaN where the column is empty."""
        values: np.ndarray = getattr(self, column)
        there = np.isfinite(values)
        return float(np.interp(epoch, self.epochs[there], values[there])) if there.any() else math.nan

    def end(self, column: str) -> float:
        """Return the last value of a column; NaN where it is empty."""
        return self.at(column, self.epochs[-1])


def read_history_file(path: str | Path) -> History:
    """Read a history file, whatever its suffix: CSV, JSON, or a JSON object a line.

    Raises:
        InputError: it cannot be read, is too large, or holds no history; says what came and what was expected.
    """
    path = Path(path)
    try:
        content = read_bounded(path, MAX_BYTES, "a history: a few numbers an epoch")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    for start, what, mend in _NO_TEXT:
        if content.startswith(start):
            raise InputError(f"{path} is {what}, which is not read; {mend}")
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: {error}; expected CSV or JSON") from error
    try:
        return _history(tables.from_text(text))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse(content: Any) -> History:
    """Bring a history into its normal form.

    Args:
        content: columns (a dictionary of lists, as Keras's `History.history`), rows (a list of dictionaries, as
            `read_history` returns them), other nestings of the two, a data frame, or an object with such an attribute
            `history`. Cells may be numbers, text, None or NaN.

    Raises:
        InputError: no validation scores, no training scores, no rows.
    """
    return _history(tables.table(getattr(content, "history", content)))


def _history(table: tables.Table) -> History:
    problems: list[str] = []
    notes: list[str] = []
    columns = find(table, problems)
    rows = max((len(column.values) for column in columns if column.what in SCORES), default=0)
    if uneven := {column.name: len(column.values) for column in columns if len(column.values) != rows}:
        problems.append(f"the columns differ in length: {uneven}, the others {rows}; expected an entry for each epoch")
    columns = [column for column in columns if column.name not in uneven]
    numbered, labels = number_epochs(columns, rows, notes)
    epochs, series = by_epoch([column for column in columns if column.what in SCORES], labels, notes)
    chosen = assign(series, notes)
    kind = next(
        (kind for kind in ("loss", "accuracy") if f"val_{kind}" in chosen and {kind, f"train_{kind}"} & chosen.keys()),
        "",
    )
    if not kind:
        raise InputError(_missing(chosen, table, problems))
    kept = np.any([one.written for one in chosen.values()], axis=0)  # not the epoch of a test afterwards
    epochs, chosen = epochs[kept], {role: one.at(kept) for role, one in chosen.items()}
    names = {role: one.column.name for role, one in chosen.items()} | ({"epoch": numbered.name} if numbered else {})
    seconds, rate = np.full(len(epochs), np.nan), 0.0
    for column in reversed(columns):  # the best name last
        if column.what == "seconds":
            seconds, names["seconds"] = spent(column, labels, epochs, notes), column.name
        elif column.what == "learning_rate":
            rate, names["learning_rate"] = float(np.nanmax(column.values, initial=0)), column.name
    scores = {role: np.full(len(epochs), np.nan) for role in ROLES} | {role: one.values for role, one in chosen.items()}
    measured = bool(np.isfinite(scores[f"train_{kind}"]).any())
    if not measured:
        notes.append(
            "The training scores are running averages, kept while an epoch runs; they lag behind by half an epoch, and "
            "are set forward by as much here. Dropout and augmentation make them look worse than the model is."
        )
    notes += [f"{problem}; it is left out." for problem in problems[:_TOLD]]
    if told := _told(names, [name for name in table if name and name not in names.values()]):
        notes.append(told)
    losses = np.array([scores[name] for name in ("loss", "train_loss", "val_loss")])
    return History(
        epochs=epochs,
        train_loss=_training(epochs, scores, "loss"),
        train_accuracy=_training(epochs, scores, "accuracy"),
        val_loss=scores["val_loss"],
        val_accuracy=scores["val_accuracy"],
        seconds=seconds,
        learning_rate=rate if rate > 0 else None,
        first_loss=next((float(first) for first in losses[:, 0] if np.isfinite(first)), math.nan),
        highest_loss=float(losses[np.isfinite(losses)].max(initial=0)),
        columns=names,
        measured=measured,
        broken=_broken([chosen[name] for name in ("loss", "train_loss") if name in chosen], epochs),
        notes=tuple(notes),
    )


def _missing(chosen: dict[str, Series], table: tables.Table, problems: list[str]) -> str:
    """Return why a history cannot be judged, and what would mend it."""
    if problems:
        return "; ".join(problems[:_TOLD])
    names = f"among the columns {', '.join(table)[:200]}"
    example = f"(for instance {tables.EXAMPLE})"
    if not {"val_loss", "val_accuracy"} & chosen.keys():
        return (
            f"no validation scores {names}; expected val_loss or val_accuracy {example}; without images kept for "
            "validation a history cannot be judged"
        )
    if not {"loss", "accuracy", "train_loss", "train_accuracy"} & chosen.keys():
        return f"no training scores {names}; expected loss or train_loss {example}"
    return f"a loss cannot be compared with an accuracy {names}; expected one score of both training and validation"


def _told(names: dict[str, str], ignored: list[str]) -> str:
    """Say which columns were read as what, and which were not, unless all have our names."""
    renamed = [f"'{name}' as {ROLES[role]}" for role, name in names.items() if name != role]
    parts = [f"Columns read: {', '.join(renamed)}."] if renamed else []
    parts += [f"Columns not used: {some(ignored, _TOLD)}."] if ignored else []
    return " ".join(parts)


def _training(epochs: np.ndarray, scores: dict[str, np.ndarray], score: str) -> np.ndarray:
    """Return a training score at the end of each epoch."""
    measured, running = scores[f"train_{score}"], scores[score]
    if np.isfinite(measured).any():
        return measured
    if len(running) < 2:
        return running
    # The average over an epoch belongs to its middle; its end lies half way to the middle of the next. The last
    # epoch has no next one: it goes on by half of the step before it, but by a tenth at most.
    steps = np.diff(running) / (2 * np.diff(epochs))
    last = np.clip(steps[-1], -0.1 * running[-1], 0.1 * running[-1])
    ends = running + np.append(steps, last)
    ends = np.minimum(ends, 1.0) if score == "accuracy" else ends
    return np.where(np.isfinite(ends), ends, running)


def _broken(training: list[Series], epochs: np.ndarray) -> int | None:
    """Return the epoch from which on, to the end, every training loss is written as NaN or infinity, not left empty."""
    if not training:
        return None
    bad = np.all([one.written & np.isnan(one.values) for one in training], axis=0)
    broken = len(bad) - np.logical_and.accumulate(bad[::-1]).sum()
    return int(epochs[broken]) if broken < len(bad) else None
