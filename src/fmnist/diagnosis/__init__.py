"""The diagnosis of a training history in words: what the curves show, how sure that is, and what to try next.

    print(fmnist.diagnose("history.csv", validation_size=12_000).text())

`docs/overfitting.md` defines each word, and says how often the diagnosis is right.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.config import Config
from fmnist.data.place import train_flags
from fmnist.diagnosis import words
from fmnist.diagnosis.advice import Advice, advise
from fmnist.diagnosis.finding import Diagnosis, Estimate, Moment
from fmnist.diagnosis.history import History, parse, read_history_file
from fmnist.diagnosis.remedies import OVERCONFIDENT, SLOW
from fmnist.diagnosis.verdict import (
    CHANCE,
    DIVERGED,
    OVERFITTING,
    SOLVED,
    TOO_SHORT,
    VERDICTS,
    Judgement,
    error_rate,
    judge,
)
from fmnist.errors import InputError
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.run.history import TRAIN_SAMPLE, read_history

__all__ = ["VERDICTS", "Advice", "Diagnosis", "Estimate", "Moment", "diagnose", "diagnose_run"]

_95 = 1.96  # standard errors on both sides of a 95% interval
# An accuracy that fell by no more than this (0 to 1), or than its own margin, has held.
_HOLDS = 0.005


def diagnose(
    history: Any,
    *,
    validation_size: int | None = None,
    train_size: int | None = None,
    seconds: float | None = None,
    num_classes: int = 10,
    config: Config | Mapping[str, Any] | None = None,
    place: Sequence[Sequence[str]] = (),
) -> Diagnosis:
    """Say in words what a training history shows.

    Args:
        history: a file (our `history.csv`, CSV or JSON of Keras, fastai, Lightning and others: docs/histories.md), the
            rows of `read_history`, columns as a dictionary of lists, a data frame, or Keras's `History`.
        validation_size: number of images behind the validation scores; without it the margins leave out that they are
            a sample.
        train_size: number of images behind the training scores.
        seconds: what the whole training took, for histories without a column of seconds.
        num_classes: of the data; tells what guessing would score.
        config: the run's settings, also as in `config.json`, from which the advice starts; without them, those of the
            preset `reference` with as many epochs and, where the history tells it, the same learning rate.
        place: flags, each with its value, that every advised command gets: where the data and the runs lie.

    Returns:
        The diagnosis; `.text()` for people, `.to_dict()` for machines.

    Raises:
        InputError: the history cannot be read or has no validation scores, or a size is not positive.
    """
    sizes = (("validation_size", validation_size, 1), ("train_size", train_size, 1), ("num_classes", num_classes, 2))
    if wrong := [f"{name} got {size}" for name, size, least in sizes if size is not None and size < least]:
        raise InputError(f"{', '.join(wrong)}; expected a number of images or classes")
    parsed = read_history_file(history) if isinstance(history, str | Path) else parse(history)
    found = judge(parsed, validation_size=validation_size, num_classes=num_classes)
    numbers = _numbers(parsed, found, validation_size, train_size, seconds)
    facts = words.facts(parsed, found, numbers)
    sentences = tuple(facts[name] for name in words.ORDER if name in facts)
    # What is solved needs no remedy, and where nothing was learnt, a larger network or more epochs are none.
    findings = {SOLVED: set(), CHANCE: {CHANCE}}.get(found.cause, {found.verdict})
    if numbers["overconfident"]:
        findings.add(OVERCONFIDENT)
    if found.slow:
        findings.add(SLOW)
    notes = list(parsed.notes)
    if found.verdict != DIVERGED and validation_size is None:
        notes.append(
            "How many images the validation scores come from is not known, so the margins leave out that they are a "
            "sample; `validation_size` tells it."
        )
    last = int(parsed.epochs[-1])
    known = {"epochs": last} | ({"learning_rate": parsed.learning_rate} if parsed.learning_rate else {})
    return Diagnosis(
        verdict=found.verdict,
        cause=found.cause,
        certainty=found.votes[found.verdict],
        votes=found.votes,
        epochs=last,
        columns=parsed.columns,
        sentences=sentences,
        advice=advise(findings, facts, config, known, sentences, place),
        notes=tuple(notes),
        **numbers,
    )


def diagnose_run(run: RunDirectory, *, validation_size: int | None = None, write: bool = True) -> Diagnosis:
    """Diagnose the history of a run and write `diagnosis.json` into it.

    Args:
        run: has a history, or diverged in its first epoch; the caller holds its lock.
        validation_size: instead of the number in the run's configuration.
        write: without it the run is only read, and needs no lock.

    Raises:
        InputError: there is no history yet, or it cannot be judged.
        RunError: the result cannot be written.
    """
    config = read_json(run.config) if run.config.is_file() else {}
    facts, diverged = config.get("dataset", {}), run.state() == "diverged"
    if not diverged:
        run.need(run.history, "train --resume")
    content: list[dict[str, float]] = read_history(run.history) if run.history.is_file() else []
    if diverged:  # a loss that is no number ends a run before that epoch is written down
        content.append({"epoch": len(content) + 1, "loss": math.nan, "train_loss": math.nan, "val_loss": math.nan})
    diagnosis = diagnose(
        content,
        validation_size=validation_size or facts.get("num_validation") or None,
        train_size=min(TRAIN_SAMPLE, facts["num_train"]) if facts.get("num_train") else None,
        num_classes=max(2, len(facts.get("class_names", range(10)))),
        config=config,
        place=train_flags(run),
    )
    if write:
        write_json(run.diagnosis, diagnosis.to_dict())
    return diagnosis


def _numbers(
    history: History, found: Judgement, validation_size: int | None, train_size: int | None, seconds: float | None
) -> dict[str, Any]:
    """Return the numbers of a diagnosis, and whether the model is overconfident; what is not known is left out."""
    numbers: dict[str, Any] = {"overconfident": False}
    if (found.train_error and found.val_error) or (found.verdict == TOO_SHORT and validation_size):
        numbers["final_gap"] = _final_gap(history, found, train_size, validation_size)
    if found.train is None or found.validation is None or found.epochs is None:
        return numbers
    numbers["noise"] = found.validation.noise
    numbers["gap_opens"] = Moment(*found.onset) if found.onset else None
    numbers["turns"] = Moment(*found.turn) if found.turn else None
    if found.what == "loss":
        numbers["trend"] = tuple(zip(found.epochs.tolist(), found.validation.middle.round(6).tolist(), strict=True))
    if found.verdict != OVERFITTING:
        return numbers
    best = int(found.validation.middle.argmin())
    if found.turn:
        best = int(np.flatnonzero(found.epochs <= found.turn[0])[-1])
    numbers["best_epoch"] = epoch = round(float(found.epochs[best]))
    numbers["epochs_saved"] = int(history.epochs[-1]) - epoch
    after = history.epochs > epoch
    if np.isfinite(history.seconds[after]).all() and after.any():
        numbers["seconds_saved"] = round(float(history.seconds[after].sum()), 1)
    elif seconds:
        numbers["seconds_saved"] = round(seconds * float(after.mean()), 1)
    if found.val_error:
        draws = 100 * found.val_error.draws
        numbers["accuracy_gained"] = gained = _difference(draws[:, -1], draws[:, best])
        held = gained.value <= max(100 * _HOLDS, gained.margin)
        numbers["overconfident"] = found.what == "loss" and found.turn is not None and held
    return numbers


def _final_gap(
    history: History, found: Judgement, train_size: int | None, validation_size: int | None
) -> Estimate | None:
    """Return the gap measured at the end, in percentage points; its margin: the images are a sample, an epoch jitters.

    None if either accuracy is missing.
    """
    ends, variance = [], 0.0
    parts = (
        (history.end("train_accuracy"), found.train_error, train_size),
        (history.end("val_accuracy"), found.val_error, validation_size),
    )
    for accuracy, trend, images in parts:
        ends.append(accuracy)
        error = float(error_rate(accuracy, images))
        variance += (trend.noise * error) ** 2 if trend else 0.0
        variance += error * (1 - error) / images if images else 0.0  # binomial
    gap = 100 * (ends[0] - ends[1])
    return Estimate(round(gap, 6), round(100 * _95 * math.sqrt(variance), 6)) if math.isfinite(gap) else None


def _difference(larger: np.ndarray, smaller: np.ndarray) -> Estimate:
    differences = larger - smaller
    return Estimate(round(float(np.median(differences)), 6), round(_95 * float(differences.std()), 6))
