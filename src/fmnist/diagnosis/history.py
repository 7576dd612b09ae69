"""Brings training histories from anywhere into one form. Judges nothing.

Read are our `history.csv`, the `History.history` of Keras as JSON, the files of Keras's `CSVLogger`, and plain CSV
files from elsewhere. Columns are known by their names, in whatever order and with whatever separator they come.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.diagnosis.columns import COLUMNS, EXAMPLE, from_csv, numbers, recognise
from fmnist.errors import InputError
from fmnist.run.directory import read_bounded

MAX_BYTES = 3 * 2**20  # parsed, JSON takes up to 25 times its size in memory
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

    def at(self, column: str, epoch: float) -> float:
        """Return a column's value at an epoch, from its neighbours where it has none; NaN where the column is empty."""
        values: np.ndarray = getattr(self, column)
        there = np.isfinite(values)
        return float(np.interp(epoch, self.epochs[there], values[there])) if there.any() else math.nan

    def end(self, column: str) -> float:
        """Return the last value of a column; NaN where it is empty."""
        return self.at(column, self.epochs[-1])


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
        return parse(_from_json(text) if text.lstrip()[:1] in ("{", "[") else from_csv(text))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}") from error


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
    rows = len(next(iter(columns.values())))
    scores = {name: np.full(rows, np.nan) for name in COLUMNS}
    scores |= {name: numbers(name, cells) for name, cells in columns.items()}
    if not {"val_loss", "val_accuracy"} & columns.keys():
        raise InputError(
            f"no validation scores among the columns {', '.join(columns)}; expected val_loss or val_accuracy "
            f"(for instance {EXAMPLE}); without images kept for validation a history cannot be judged"
        )
    for name, values in scores.items():
        # Some write 92.4 where others write 0.924; a fraction is never above 1.
        if name in _FRACTIONS and (values > 1.5).any():
            scores[name] = values = values / 100
            notes.append(f"{name} is read as percent.")
        if name in _FRACTIONS and ((values < 0) | (values > 1)).any():
            raise InputError(f"column '{name}' holds values outside 0 to 1 (or 0 to 100 percent)")
        if "loss" in name and (values < 0).any():
            raise InputError(
                f"column '{name}' holds {np.nanmin(values):g}; expected losses of 0 or more (cross-entropy)"
            )
    epochs = _epochs(scores["epoch"] if "epoch" in columns else None, rows, notes)
    kind = "loss" if {"loss", "train_loss"} & columns.keys() else "accuracy"
    if not {kind, f"train_{kind}"} & columns.keys():
        names = ", ".join(columns)
        raise InputError(
            f"no training scores among the columns {names}; expected loss or train_loss (for instance {EXAMPLE})"
        )
    measured = bool(np.isfinite(scores[f"train_{kind}"]).any())
    if not measured:
        notes.append(
            "The training scores are running averages, kept while an epoch runs; they lag behind by half an epoch, and "
            "are set forward by as much here. Dropout and augmentation make them look worse than the model is."
        )
    losses = np.array([scores[name] for name in ("loss", "train_loss", "val_loss")])
    rate = float(scores["learning_rate"].max())
    return History(
        epochs=epochs,
        train_loss=_training(scores, "loss"),
        train_accuracy=_training(scores, "accuracy"),
        val_loss=scores["val_loss"],
        val_accuracy=scores["val_accuracy"],
        seconds=scores["seconds"],
        learning_rate=rate if rate > 0 else None,
        first_loss=next((float(first) for first in losses[:, 0] if np.isfinite(first)), math.nan),
        highest_loss=float(losses[np.isfinite(losses)].max(initial=0)),
        measured=measured,
        broken=_broken(columns, scores, epochs) if kind == "loss" else None,
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


def _training(scores: dict[str, np.ndarray], score: str) -> np.ndarray:
    """Return a training score at the end of each epoch."""
    measured, running = scores[f"train_{score}"], scores[score]
    if np.isfinite(measured).any():
        return measured
    if len(running) < 2:
        return running
    # The average over an epoch belongs to its middle; its end lies half way to the middle of the next. The last
    # epoch has no next one: it goes on by half of the step before it, but by a tenth at most.
    last = running[-1] + np.clip((running[-1] - running[-2]) / 2, -0.1 * running[-1], 0.1 * running[-1])
    halfway = np.append((running[:-1] + running[1:]) / 2, min(last, 1.0) if score == "accuracy" else last)
    return np.where(np.isfinite(halfway), halfway, running)


def _broken(columns: dict[str, list[Any]], scores: dict[str, np.ndarray], epochs: np.ndarray) -> int | None:
    """Return the epoch from which on, to the end, every training loss is written as NaN or infinity, not left empty."""
    bad = np.ones(len(epochs), bool)
    for name in {"loss", "train_loss"} & columns.keys():
        bad &= np.isnan(scores[name]) & [cell is not None and cell != "" for cell in columns[name]]
    broken = len(bad) - np.logical_and.accumulate(bad[::-1]).sum()
    return int(epochs[broken]) if broken < len(bad) else None
