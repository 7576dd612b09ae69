"""The diagnosis of a training history in words: what the curves show, how sure that is, and what to try next.

    print(fmnist.diagnose("history.csv", validation_size=12_000).text())

`docs/overfitting.md` defines each word, and says how often the diagnosis is right.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.diagnosis import words
from fmnist.diagnosis.advice import Advice, advise
from fmnist.diagnosis.finding import Diagnosis, Estimate, Moment
from fmnist.diagnosis.history import History, parse, read_history_file
from fmnist.diagnosis.remedies import OVERCONFIDENT, SLOW
from fmnist.diagnosis.verdict import DIVERGED, OVERFITTING, TOO_SHORT, VERDICTS, Judgement, judge
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
    config: dict[str, Any] | None = None,
) -> Diagnosis:
    """Say in words what a training history shows.

    Args:
        history: a file (our `history.csv`, a Keras `CSVLogger` file, any CSV with such columns, the JSON of a Keras
            `History.history`), the rows of `read_history`, columns as a dictionary of lists, or Keras's `History`.
        validation_size: number of images behind the validation scores; without it the margins leave out that they are
            a sample.
        train_size: number of images behind the training scores.
        seconds: what the whole training took, for histories without a column of seconds.
        num_classes: of the data; tells what guessing would score.
        config: the run's settings as in `config.json`, from which the advice starts; without them, those of the
            preset `reference` with as many epochs and, where the history tells it, the same learning rate.

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
    findings = {found.verdict}
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
        sentences=tuple(facts[name] for name in words.ORDER if name in facts),
        advice=advise(findings, facts, config, known),
        notes=tuple(notes),
        **numbers,
    )


def diagnose_run(run: RunDirectory, *, validation_size: int | None = None) -> Diagnosis:
    """Diagnose the history of a run and write `diagnosis.json` into it.

    Args:
        run: has a history, or diverged in its first epoch; the caller holds its lock.
        validation_size: instead of the number in the run's configuration.

    Raises:
        InputError: there is no history yet, or it cannot be judged.
        RunError: the result cannot be written.
    """
    config = read_json(run.config) if run.config.is_file() else {}
    facts, diverged = config.get("dataset", {}), run.state() == "diverged"
    if not diverged:
        run.need(run.history, "train")
    content: list[dict[str, float]] = read_history(run.history) if run.history.is_file() else []
    if diverged:  # a loss that is no number ends a run before that epoch is written down
        content.append({"epoch": len(content) + 1, "loss": math.nan, "train_loss": math.nan, "val_loss": math.nan})
    diagnosis = diagnose(
        content,
        validation_size=validation_size or facts.get("num_validation") or None,
        train_size=min(TRAIN_SAMPLE, facts["num_train"]) if facts.get("num_train") else None,
        num_classes=max(2, len(facts.get("class_names", range(10)))),
        config=config,
    )
    write_json(run.diagnosis, diagnosis.to_dict())
    return diagnosis


def _numbers(
    history: History, found: Judgement, validation_size: int | None, train_size: int | None, seconds: float | None
) -> dict[str, Any]:
    """Return the numbers of a diagnosis, and whether the model is overconfident; what is not known is left out."""
    numbers: dict[str, Any] = {"overconfident": False}
    if found.train is None or found.validation is None or found.epochs is None:
        errors = 1 - history.train_accuracy[-1:], 1 - history.val_accuracy[-1:]
        if found.verdict == TOO_SHORT and validation_size and np.isfinite(errors).all():
            numbers["final_gap"] = _final_gap(*errors, train_size, validation_size)
        return numbers
    numbers["noise"] = found.validation.noise
    numbers["gap_opens"] = Moment(*found.onset) if found.onset else None
    numbers["turns"] = Moment(*found.turn) if found.turn else None
    if found.what == "loss":
        numbers["loss_gap"] = _difference(found.validation.draws[:, -1], found.train.draws[:, -1])
    if found.train_error and found.val_error:
        ends = found.train_error.draws[:, -1], found.val_error.draws[:, -1]
        numbers["final_gap"] = _final_gap(*ends, train_size, validation_size)
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
    train: np.ndarray, validation: np.ndarray, train_size: int | None, validation_size: int | None
) -> Estimate:
    """Estimate the gap, in percentage points, from draws of both error rates at the end."""
    sampling = 0.0
    for rate, images in ((np.median(validation), validation_size), (np.median(train), train_size)):
        if images:  # the binomial variance of an error rate
            sampling += float(rate * (1 - rate) / images)
    return _difference(100 * validation, 100 * train, 100**2 * sampling)


def _difference(larger: np.ndarray, smaller: np.ndarray, variance: float = 0.0) -> Estimate:
    differences = larger - smaller
    margin = _95 * math.sqrt(float(differences.var()) + variance)
    return Estimate(round(float(np.median(differences)), 6), round(margin, 6))
