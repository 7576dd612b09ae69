"""Writes and reads `history.csv`, which has a row of measurements for each epoch; finds the best epoch in it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

from fmnist.errors import InputError
from fmnist.run.directory import read_bounded, write_bytes

History = Sequence[dict[str, float]]

HISTORY_COLUMNS = (
    "epoch", "seconds", "learning_rate", "loss", "accuracy", "train_loss", "train_accuracy", "val_loss", "val_accuracy"
)  # fmt: skip
# The training images that are measured after each epoch: enough for a standard error of 0.2 points at 98%.
TRAIN_SAMPLE = 5_000
MAX_HISTORY_BYTES, MAX_EPOCHS = 16 * 2**20, 100_000


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `history.csv`: a row an epoch, columns `HISTORY_COLUMNS`, an empty cell where there is no value."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [",".join(_cell(row.get(column)) for column in HISTORY_COLUMNS) for row in rows]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _cell(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.7g}"


def read_history(path: Path) -> list[dict[str, float]]:
    """Read `history.csv` as a list of rows; empty cells are left out of their row.

    Raises:
        InputError: the file is missing, has no epoch column, other columns than `HISTORY_COLUMNS`, a cell that is not a
            number, more than 16 MiB or 100,000 rows.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_bounded(path, MAX_HISTORY_BYTES).decode(), newline=""))
        names = reader.fieldnames or []
        rows = list(itertools.islice(reader, MAX_EPOCHS + 1))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error
    if "epoch" not in names or set(names) - set(HISTORY_COLUMNS):
        raise InputError(f"{path} has the columns {', '.join(names)[:200]}; expected {', '.join(HISTORY_COLUMNS)}")
    if len(rows) > MAX_EPOCHS:
        raise InputError(f"{path} has more than {MAX_EPOCHS:,} rows; expected one for each epoch")
    return [{key: _number(path, key, cell) for key, cell in row.items() if cell} for row in rows]


def _number(path: Path, column: str, cell: str) -> float:
    try:
        return int(cell) if column == "epoch" else float(cell)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: column '{column}' holds {cell!r}; expected a number") from error


def best_epoch(history: History) -> int | None:
    """Return the epoch (from 1) with the lowest validation loss, the first of equals; None without validation."""
    rows = [row for row in history if "val_loss" in row]
    return int(min(rows, key=lambda row: row["val_loss"])["epoch"]) if rows else None


def is_over(history: History, patience: int) -> bool:
    """Whether the last `patience` epochs brought no validation loss below the lowest before them; 0 waits for ever."""
    best = best_epoch(history)
    return bool(patience) and best is not None and history[-1]["epoch"] - best >= patience
