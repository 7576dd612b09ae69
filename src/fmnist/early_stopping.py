"""When to stop, as a function of the history alone: a run that goes on from a checkpoint decides as it would have."""

from __future__ import annotations

from collections.abc import Sequence

History = Sequence[dict[str, float]]


def best_epoch(history: History) -> int | None:
    """Return the epoch (from 1) with the lowest validation loss, the first of equals; None without validation."""
    rows = [row for row in history if "val_loss" in row]
    return int(min(rows, key=lambda row: row["val_loss"])["epoch"]) if rows else None


def is_over(history: History, patience: int) -> bool:
    """Whether the last `patience` epochs brought no validation loss below the lowest before them.

    Args:
        history: a row an epoch, as in `history.csv`.
        patience: epochs to wait for a better one; 0 waits for ever.
    """
    best = best_epoch(history)
    return bool(patience) and best is not None and history[-1]["epoch"] - best >= patience
