"""Gives each understood column its role in a history, by comparing it with the others."""

import dataclasses
import math
import re

import numpy as np

from fmnist.diagnosis.columns import ROUNDING
from fmnist.diagnosis.epochs import Series
from fmnist.errors import InputError

# What is told of a history, in words. `loss` and `accuracy` are running averages, kept while an epoch runs.
ROLES = {
    "epoch": "epoch",
    "seconds": "seconds",
    "learning_rate": "learning rate",
    "loss": "training loss",
    "accuracy": "training accuracy",
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}
Chosen = dict[str, Series]
_FEW = 4  # epochs; fewer are no curve
_SUM = 5  # a training loss with dropout, mixed images and smoothed labels is up to three times the other at first


def assign(series: list[Series], notes: list[str]) -> Chosen:
    """Return the best series for each role; accuracies as shares, and errors as accuracies.

    A score whose name tells no images is the training's, unless the file names those: fastai's `accuracy` stands beside
    `train_loss` and `valid_loss`, and is the validation's.
    """
    series = _numbered_sets(series, notes)
    kinds = {(_kind(one), one.column.whose) for one in series}
    names_training = any(whose == "train" for _, whose in kinds)
    roles: dict[str, list[Series]] = {}
    doubtful = ""  # the score whose images its name does not tell, and no other of its kind either
    for one in series:
        kind, whose = _kind(one), one.column.whose
        if not whose and not {(kind, "train"), (kind, "val")} & kinds:
            whose, doubtful = "val" if names_training else "", kind
        roles.setdefault(f"{whose}_{kind}".lstrip("_"), []).append(one)
    chosen = {}
    for role, candidates in roles.items():
        most = max(one.count for one in candidates)
        chosen[role] = min(candidates, key=lambda one: (one.count < min(most, _FEW), one.column.rank))
    for kind in ("loss", "accuracy"):
        measured, running = chosen.get(f"train_{kind}"), chosen.get(kind)
        if measured and running and measured.count < running.count / 2:  # the mean of a whole run, in its last row
            del chosen[f"train_{kind}"]
        elif measured and not running and measured.averaged:
            chosen[kind] = chosen.pop(f"train_{kind}")
    _compare_losses(chosen)
    chosen = _shares(chosen, notes)
    return _moved(chosen) if doubtful == "accuracy" else chosen


def _compare_losses(chosen: Chosen) -> None:
    """Refuse a training loss that is a sum over batches; nothing else makes it so much larger from beginning to end."""
    training, validation = chosen.get("train_loss") or chosen.get("loss"), chosen.get("val_loss")
    if training and validation:
        both = np.isfinite(training.values) & (validation.values > 0)
        ratios = training.values[both] / validation.values[both]
        if len(ratios) >= _FEW and (least := float(ratios.min())) > _SUM:
            raise InputError(
                f"'{training.column.name}' is at least {least:.0f} times '{validation.column.name}' in every epoch, "
                "like a sum over batches beside a mean; divide it by the number of batches"
            )


def _kind(series: Series) -> str:
    return "loss" if series.column.what == "loss" else "accuracy"


def _numbered_sets(series: list[Series], notes: list[str]) -> list[Series]:
    """Tell apart `validation_0` and `validation_1`, of which people give the training images first."""
    if any(one.column.whose != "val" for one in series):
        return series
    sets: dict[str, list[Series]] = {}
    for one in sorted(series, key=lambda one: one.column.name):
        sets.setdefault(re.sub(r"\d", "", one.column.name), []).append(one)
    found = {one.column.name: one for one in series}
    for first, second, *_ in (same for same in sets.values() if len(same) > 1):
        both = np.isfinite(first.values) & np.isfinite(second.values)
        more = float((first.values[both] - second.values[both]).sum())
        if more > 0 if first.column.what == "accuracy" else more < 0:
            column = dataclasses.replace(first.column, whose="train")
            found[column.name] = dataclasses.replace(first, column=column)
            notes.append(f"'{column.name}' is better than '{second.column.name}', so it is the training's.")
    return list(found.values())


def _shares(chosen: Chosen, notes: list[str]) -> Chosen:
    """Return all accuracies as shares. A column with a value above 1 is percent, and perhaps others beside it."""
    rates = {role: one for role, one in chosen.items() if _kind(one) == "accuracy"}
    percent = {role for role, one in rates.items() if np.nanmax(one.values, initial=0) > 1 + ROUNDING}
    made = {role: _accuracy(one, 100 if role in percent else 1) for role, one in rates.items()}
    for role, one in rates.items():
        for other in sorted(percent):
            both = np.isfinite(one.values) & np.isfinite(rates[other].values)
            if role not in percent and both.any():  # before much was learnt, both are near each other
                first = int(both.argmax())
                shares = [abs(_accuracy(one, scale)[first] - made[other][first]) for scale in (1, 100)]
                if shares[1] < shares[0]:
                    made[role] = _accuracy(one, 100)
                    notes.append(f"{one.column.name} is read as percent, like {rates[other].column.name}.")
                break
    notes += [f"{rates[role].column.name} is read as percent." for role in rates if role in percent]
    return chosen | {role: dataclasses.replace(one, values=made[role]) for role, one in rates.items()}


def _accuracy(series: Series, scale: int) -> np.ndarray:
    shares = np.clip(series.values / scale, 0, 1)
    return 1 - shares if series.column.what == "error" else shares


def _moved(chosen: Chosen) -> Chosen:
    """Return the same with an accuracy given to the other images, if the losses say so.

    Each mistake costs a cross-entropy of the logarithm of 2 at least, so a loss bounds the share of mistakes.
    """
    role, other = ("val_accuracy", "accuracy") if "val_accuracy" in chosen else ("accuracy", "val_accuracy")
    training, validation = chosen.get("train_loss") or chosen.get("loss"), chosen.get("val_loss")
    if not training or not validation or role not in chosen:
        return chosen
    least = math.log(2) * (1 - chosen[role].values)
    own, others = (validation, training) if role == "val_accuracy" else (training, validation)
    rules_out = [2 * (least > one.values).sum() > one.count for one in (own, others)]
    moved = {other if name == role else name: one for name, one in chosen.items()}
    return moved if rules_out == [True, False] else chosen
