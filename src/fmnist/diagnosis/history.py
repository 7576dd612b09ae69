"""Brings training histories from anywhere into one form. Judges nothing.

Read are our `history.csv`, the `History.history` of Keras as JSON, the files of Keras's `CSVLogger`, and plain CSV
files from elsewhere. Columns are known by their names, in whatever order and with whatever separator they come.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.diagnosis.columns import EXAMPLE, from_csv, from_json, numbers, recognise
from fmnist.errors import InputError
from fmnist.run.directory import read_bounded

# Parsed, JSON takes up to 25 times its size in memory.
MAX_BYTES = 3 * 2**20

_FRACTIONS = ("accuracy", "train_accuracy", "val_accuracy")


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
        text = read_bounded(path, MAX_BYTES, "a history: a few numbers an epoch").decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: {error}; expected CSV or JSON") from error
    try:
        return parse(from_json(text) if text.lstrip()[:1] in ("{", "[") else from_csv(text))
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
    columns, notes = recognise(content), []
    rows = max(map(len, columns.values()))
    raw = {name: numbers(name, cells) for name, cells in columns.items()}
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
