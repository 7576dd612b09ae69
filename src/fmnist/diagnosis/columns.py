"""Finds out what the columns of a table are: by the words of their names, and by comparing their numbers.

Every tool has names of its own: `val_loss`, `valid_loss`, `eval/loss`, `validation/main/loss`, `ValidationLoss`. They
are made of few words, listed in `WORDS`; a name with a word that is not listed is not understood, and its column is not
used. What names leave open, the numbers tell: `epochs` and `roles` compare the columns.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmnist.diagnosis.tables import EXAMPLE, Table
from fmnist.errors import InputError, did_you_mean

# What a word of a name means; of several words for one thing the first is preferred.
WORDS = {
    "train": ("train", "training", "learn", "trn", "tr"),
    "val": ("val", "validation", "valid", "eval", "evaluation", "dev", "holdout", "test", "testing"),
    "loss": ("loss", "losses", "logloss", "mlogloss", "multiclass", "entropy", "crossentropy", "nll"),
    "accuracy": ("accuracy", "acc", "accuracies", "top", "score", "scores"),
    "error": ("error", "err", "merror"),
    "learning_rate": ("learning", "lr"),
    "seconds": ("seconds", "time", "duration", "dur", "elapsed", "sec", "secs", "runtime"),
    "step": ("step", "steps", "iteration", "iterations", "iter", "iters", "round"),
    "epoch": ("epoch", "epochs", "ep"),
}
# Words that change nothing. `accuracy_top1` is what others call accuracy; 5 is not here, so `top5` is something else.
NEUTRAL = (
    "history", "log", "logs", "metrics", "metric", "main", "model", "pg", "mean", "avg", "average", "total", "combined",
    "curve", "rate", "value", "values", "cross", "multi", "binary", "categorical", "sparse", "classification", "0", "1",
)  # fmt: skip
_MEANS = {word: kind for kind, words in WORDS.items() for word in words}
_NOTHING = ("", "na", "n/a", "none", "null", "-", "--", "_", "no log")  # how an empty cell may be written
SCORES = ("loss", "accuracy", "error")
_SELDOM = 1 / 3  # if more cells than this are NaN before the last number, NaN means empty
ROUNDING = 1e-4  # an accuracy may be above 1 by so much, as a mean of float32 is


@dataclass(frozen=True)
class Column:
    """A column whose name is understood.

    Attributes:
        name: as the file has it.
        what: "loss", "accuracy", "error", "seconds", "learning_rate", "step" or "epoch".
        whose: "train", "val", or "" where the name does not say.
        rank: the smaller, the better the name; for columns that mean the same.
        values: float64 (N,), a row an entry; what is empty or not finite is NaN.
        written: bool (N,), where something stands in the cell.
    """

    name: str
    what: str
    whose: str
    rank: tuple[Any, ...]
    values: np.ndarray
    written: np.ndarray


def understand(name: str) -> tuple[str, str, tuple[Any, ...]] | None:
    """Return what a column is by its name, whose, and its rank, as in `Column`; None if the name is not understood."""
    words = []
    for part in re.findall(r"[^\W_]+", name.split(" - ")[-1]):  # `name of the run - val_loss`
        pieces = [part] if part.lower() in _MEANS else re.findall(r"\d+|[^\W\d_][^\W\dA-Z_]*|[^\W\d_]+", part)
        words += [piece.lower() for piece in pieces]
    kinds = [_MEANS[word] for word in words if word in _MEANS]
    scores = {kind for kind in kinds if kind in SCORES}
    whose = {kind for kind in kinds if kind in ("train", "val")}
    if len(scores) > 1 or len(whose) > 1 or any(word not in _MEANS and word not in NEUTRAL for word in words):
        return None
    what = next((kind for kind in (*scores, "learning_rate", "seconds", "step", "epoch") if kind in kinds), None)
    if what is None or (what not in SCORES and "val" in whose) or (what == "seconds" and {"train", "step"} & {*kinds}):
        return None
    preferred = sorted((WORDS[_MEANS[word]].index(word) for word in words if word in _MEANS), reverse=True)
    return what, "".join(whose), ("step" in kinds, what == "error", preferred, len(words), name)


def find(table: Table, problems: list[str]) -> list[Column]:
    """Return the columns whose names are understood, the best names first; what cannot be used joins the problems.

    Raises:
        InputError: no name is that of a score.
    """
    meanings = {name: meaning for name in table if (meaning := understand(name))}
    if not any(what in SCORES for what, _, _ in meanings.values()):
        known = [
            "loss",
            "accuracy",
            *(f"{part}_{score}" for part in ("train", "val") for score in ("loss", "accuracy")),
        ]
        hint = next((text for name in list(table)[:100] if (text := did_you_mean(name, known))), "")
        names = ", ".join(table)[:200]
        raise InputError(f"no known column among {names}{hint}; expected several side by side, for instance {EXAMPLE}")
    found = []
    for name, (what, whose, rank) in meanings.items():
        try:
            values, written = numbers(table[name])
        except ValueError as problem:
            problems.append(f"column '{name}', {problem}")
            continue
        low, high = (float(end(values, initial=0, where=np.isfinite(values))) for end in (np.min, np.max))
        if what == "accuracy" and low < 0 == high:  # scikit-learn maximises, and scores a loss as its negative
            what, values, low = "loss", -values, 0.0
        if what in SCORES and low < 0:
            problems.append(f"column '{name}' holds {low:g}; expected losses of 0 or more (cross-entropy), or shares")
        elif what in ("accuracy", "error") and high > 100 * (1 + ROUNDING):
            problems.append(f"column '{name}' holds values outside 0 to 1 (or 0 to 100 percent)")
        elif written.any():
            found.append(Column(name, what, whose, rank, values, written))
    return sorted(found, key=lambda column: column.rank)


def numbers(cells: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of cells, what is not finite as NaN, and which cells are not empty.

    Raises:
        ValueError: a cell is no number; `00:12`, `93.1%` and `0.3 sec` are.
    """
    values, written = np.full(len(cells), np.nan), np.zeros(len(cells), bool)
    for row, cell in enumerate(cells):
        text = cell.strip().lower() if isinstance(cell, str) else cell
        if text is None or (isinstance(text, str) and text in _NOTHING):
            continue
        try:
            if isinstance(text, str) and re.fullmatch(r"(\d+:)?\d+:\d+(\.\d+)?", text):
                values[row] = sum(float(part) * 60**place for place, part in enumerate(reversed(text.split(":"))))
            else:
                values[row] = float(re.sub(r"\s*(%|s|secs?)$", "", text) if isinstance(text, str) else text)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"row {row + 1}: got {cell!r:.60}, expected a number") from None
        written[row] = True
    finite = np.isfinite(values)
    until = len(finite) - int(finite[::-1].argmax()) if finite.any() else 0
    # A data frame has NaN where there is nothing, here and there; a loss that became NaN stays so.
    if until and np.mean(written[:until] & ~finite[:until]) > _SELDOM:
        written &= finite
    return np.where(finite, values, np.nan), written
