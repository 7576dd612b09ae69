"""Turns rows into epochs: tools write several rows for an epoch, skip some, and write some twice after a restart."""

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from fmnist.diagnosis.columns import SCORES, Column
from fmnist.diagnosis.tables import MAX_ROWS

_LONG = 8  # times that rise so often in a row by chance are rare: once in 40,320


@dataclass(frozen=True)
class Series:
    """A column with an entry for each epoch.

    Attributes:
        column: where it comes from.
        values: float64 (epochs,), NaN where there is no finite value.
        written: bool (epochs,), where something stood in a cell.
        averaged: whether an epoch had several values, of which these are the means.
    """

    column: Column
    values: np.ndarray
    written: np.ndarray
    averaged: bool

    def at(self, kept: np.ndarray) -> "Series":
        """Return it with some epochs alone, bool (epochs,)."""
        return replace(self, values=self.values[kept], written=self.written[kept])

    @property
    def count(self) -> int:
        """In how many epochs it has a value."""
        return int(np.isfinite(self.values).sum())


def number_epochs(columns: list[Column], rows: int, notes: list[str]) -> tuple[Column | None, np.ndarray]:
    """Return the epoch of each row, from 1, float64 (rows,), and the column that tells it, if one does.

    Rows of epoch 0 in which nothing was trained, as in a validation before training, get the number 0.
    """
    scored = _written(columns, rows, "val")
    given = next((column for column in columns if column.what == "epoch"), None)
    if given is None or not np.isfinite(given.values).any():
        return None, _count(columns, scored, rows, notes)
    there = np.isfinite(given.values)
    last = np.maximum.accumulate(np.where(there, np.arange(rows), there.argmax()))
    epochs = given.values[last]  # a row without an epoch belongs to that of the row before
    if epochs.min() < 0 or epochs.max() > MAX_ROWS or (np.ptp(epochs) == 0 and scored.sum() > 1):
        notes.append(f"The epochs in '{given.name}' cannot be used: they are out of range, or the same in every row.")
        return None, _count(columns, scored, rows, notes)
    if (epochs % 1).any():
        return given, np.maximum(np.ceil(epochs - 1e-6), 1)
    trained = _written(columns, rows, "train") | _written(columns, rows, "")
    epochs = _count_on(columns, epochs, notes)
    return given, epochs + 1 if epochs[trained if trained.any() else slice(None)].min() == 0 else epochs


def _written(columns: list[Column], rows: int, whose: str) -> np.ndarray:
    """Return in which rows there is a score of that kind of images."""
    written = [column.written for column in columns if column.what in SCORES and column.whose == whose]
    return np.any([*written, np.zeros(rows, bool)], axis=0)


def _count(columns: list[Column], scored: np.ndarray, rows: int, notes: list[str]) -> np.ndarray:
    """Return the epochs of rows that tell none: each row, or each with validation scores, is one."""
    steps = next((column.values for column in columns if column.what == "step"), np.full(rows, np.nan))
    trained = _written(columns, rows, "train") | _written(columns, rows, "")
    ascend = bool((np.diff(steps, prepend=-np.inf) >= 0).all())
    if not scored.any() or (not ascend and (scored & trained).any()):
        return np.arange(1.0, rows + 1)
    order = steps if ascend else np.arange(float(rows))
    notes.append("No column tells the epochs: those with validation scores are counted.")
    ends = np.unique(order[scored])
    return np.minimum(np.searchsorted(ends, order) + 1.0, len(ends))


def _count_on(columns: list[Column], epochs: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return epochs that are counted on where their numbers start again but the loss does not."""
    values = next((one.values for one in columns if one.what in SCORES and one.whose == "val"), np.zeros(0))
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return epochs
    before, after, first = rows[:-1], rows[1:], rows[0]
    anew = (epochs[after] == epochs[first]) & (epochs[before] > epochs[first])
    anew &= np.abs(values[after] - values[before]) < np.abs(values[after] - values[first])
    further = np.zeros(len(epochs))
    further[after[anew]] = epochs[before[anew]] - epochs[first] + 1
    if anew.any():
        notes.append("The epochs do not ascend; where they start again, they are counted as further ones.")
    return epochs + np.cumsum(further)


def by_epoch(columns: list[Column], labels: np.ndarray, notes: list[str]) -> tuple[np.ndarray, list[Series]]:
    """Return the epochs, ascending, and each column with an entry for each of them."""
    found = {column.name: _runs(column, labels, notes) for column in columns}
    epochs = np.array(sorted({epoch for runs in found.values() for epoch, _ in runs}))
    places = {epoch: place for place, epoch in enumerate(epochs.tolist())}
    series = []
    for column in columns:
        values, written, averaged = np.full(len(epochs), np.nan), np.zeros(len(epochs), bool), False
        for epoch, cells in found[column.name]:
            written[places[epoch]] = True
            if finite := [cell for cell in cells if np.isfinite(cell)]:
                values[places[epoch]] = finite[-1] if column.whose == "val" else sum(finite) / len(finite)
                averaged |= len(set(finite)) > 1
        series.append(Series(column, values, written, averaged and column.whose != "val"))
    return epochs, series


def _runs(column: Column, labels: np.ndarray, notes: list[str]) -> list[tuple[float, list[float]]]:
    """Return the epochs of a column, ascending, each with its values; of those trained again, the later ones."""
    rows = np.flatnonzero(column.written & (labels >= 1))
    pairs = zip(labels[rows].tolist(), column.values[rows].tolist(), strict=True)
    runs = [(epoch, [value for _, value in run]) for epoch, run in groupby(pairs, key=lambda pair: pair[0])]
    if len({epoch for epoch, _ in runs}) == len(runs):
        return sorted(runs, key=lambda run: run[0])
    kept: list[tuple[float, list[float]]] = []
    for epoch, values in runs:
        while kept and kept[-1][0] >= epoch:  # what came after the checkpoint from which training went on
            kept.pop()
        kept.append((epoch, values))
    note = "Some epochs stand in the file twice, as after a restart; the later rows count."
    if note not in notes:
        notes.append(note)
    return kept


def spent(column: Column, labels: np.ndarray, epochs: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the seconds of each epoch, NaN where they are not known; times may run on from the start."""
    runs = dict(_runs(column, labels, notes))
    times = np.array([runs.get(epoch, [np.nan])[-1] for epoch in epochs.tolist()])
    known = times[np.isfinite(times)]
    falls = int((np.diff(known) <= 0).sum())  # at restarts
    rises = len(known) > 2 and falls <= len(known) // _LONG
    if rises and (len(known) >= _LONG or known[-1] >= known[0] * len(known) / 2):
        notes.append(
            f"The times in '{column.name}' run on from the start; an epoch took what lies between two of them."
        )
        steps = np.diff(times, prepend=np.nan)
        return np.where(steps <= 0, times, steps)
    several = any(len(set(values)) > 1 for values in runs.values())
    if several or (known < 0).any():
        notes.append(f"The times in '{column.name}' are not those of epochs; they are left out.")
        return np.full(len(epochs), np.nan)
    return times
