"""The sentences: every number that was found, in plain words. Judges nothing and computes no more than percentages."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmnist.diagnosis.figures import duration, interval, loss, moved, percent, points, signed
from fmnist.diagnosis.finding import Estimate, Moment
from fmnist.diagnosis.history import History
from fmnist.diagnosis.verdict import (
    DIVERGED,
    GOOD_FIT,
    MIN_EPOCHS,
    OFF_TREND,
    OPEN,
    OVERFITTING,
    STILL_IMPROVING,
    TOO_SHORT,
    UNDERFITTING,
    UNSTABLE,
    Judgement,
    half,
    third,
)

# The facts that are told, in this order; the others only serve as evidence for advice.
ORDER = ("verdict", "certainty", "onset", "turn", "final_gap", "overconfidence", "stopping", "noise")


def facts(history: History, found: Judgement, numbers: dict[str, Any], overconfident: bool) -> dict[str, str]:
    """Return sentences, and numbers as text, by name; what this history does not have is missing."""
    last = int(history.epochs[-1])
    count = f"{last} epoch{'s' if last != 1 else ''}"
    told = {"verdict": _verdict(history, found), "length": f"There {'are' if last != 1 else 'is'} only {count}."}
    losses = found.train is not found.train_error if found.train else True
    what = "loss" if losses else "error rate"
    if found.train is None or found.validation is None:
        highest = f"The highest loss was {loss(history.highest_loss)}."
        if numbers["final_gap"]:
            scores = history.train_accuracy[-1], history.val_accuracy[-1]
            told["final_gap"] = _gap_sentence("At the end", *scores, numbers["final_gap"])
        return told | {"jitter": told["verdict"] if found.verdict == DIVERGED else highest}
    train, val = found.train.middle, found.validation.middle
    jitter = percent(found.validation.noise)
    noise = f"From one epoch to the next the validation {what} jitters by {jitter} around its trend."
    told |= {
        "noise": "" if found.verdict == DIVERGED else noise,
        "jitter": told["verdict"] if found.verdict == DIVERGED else noise,
    }
    fall = 1 - val[-1] / val[third(len(val))]
    told["improving"] = f"Over {_span(found, last)} the validation {what} {moved(-fall)}, to {loss(val[-1])}."
    if found.verdict not in (DIVERGED, UNSTABLE):
        share = found.votes[found.verdict]
        others = [
            f"{percent(vote)} {name}" for name, vote in found.votes.items() if name != found.verdict and vote >= 0.01
        ]
        told["certainty"] = f"Of the curves that fit these epochs {percent(share)} say so" + (
            f" (the others: {', '.join(others)})." if others else "."
        )
    told["trained"] = _trained(found, what)
    if found.train_error:
        told["knows"] = f"It is right on {percent(1 - found.train_error.middle[-1], 1)} of its training images."
    gap = f"At the end the training {what} is {loss(train[-1])} and the validation {what} {loss(val[-1])}"
    told["gap"] = gap + "."
    if found.verdict == DIVERGED:
        return told
    opens: Moment | None = numbers["gap_opens"]
    if opens:
        told["onset"] = (
            f"The gap opens at epoch {opens.epoch} {interval(opens)}: from there on the training {what} lies at least "
            f"{percent(OPEN)} below the validation {what}."
        )
        told["gap"] = f"The gap opens at epoch {opens.epoch} of {last}. {told['gap']}"
    else:
        told["onset"] = f"No gap opens: {gap[0].lower()}{gap[1:]}, less than {percent(OPEN)} apart."
    turns: Moment | None = numbers["turns"]
    if turns:
        lowest = float(np.interp(turns.epoch, found.epochs, val)) if found.epochs is not None else float(val.min())
        told["turn"] = (
            f"The validation {what} turns at epoch {turns.epoch} {interval(turns)}: its trend, the curve without its "
            f"jitter, is lowest there ({loss(lowest)}) and ends at {loss(val[-1])}."
        )
    final: Estimate | None = numbers["final_gap"]
    error = found.val_error if losses else found.validation
    if final and found.train_error and error:
        told["final_gap"] = _gap_sentence(
            "At the end, the jitter taken out,", 1 - found.train_error.middle[-1], 1 - error.middle[-1], final
        )
    told |= _stopping(found, numbers, last)
    gained: Estimate | None = numbers["accuracy_gained"]
    if overconfident and gained and turns:
        told["overconfidence"] = (
            f"The model grows overconfident: since epoch {turns.epoch} the validation loss rose by "
            f"{percent(val[-1] / val.min() - 1)} while the validation accuracy held ({signed(-gained.value)} ± "
            f"{gained.margin:.1f} points). It is hardly wrong more often, but far surer when it is."
        )
        told["surer"] = (
            f"Since epoch {turns.epoch} the validation loss rose by {percent(val[-1] / val.min() - 1)}, the "
            "validation "
            f"accuracy changed by {signed(-gained.value)} points."
        )
    return told


def _verdict(history: History, found: Judgement) -> str:
    """Return the first sentence: the verdict and what it rests on."""
    last = int(history.epochs[-1])
    losses = found.train is not found.train_error if found.train else True
    what = "loss" if losses else "error rate"
    if found.cause == "not finite":
        return f"Diverged: from epoch {history.broken} of {last} on the training loss is not a finite number."
    finite = history.train_loss[np.isfinite(history.train_loss)]
    if found.cause == "guessing":
        return (
            f"Diverged: the loss rose to {loss(history.highest_loss)} and the training loss ended at "
            f"{loss(finite[-1])}, "
            "no better than guessing."
        )
    if found.cause == "lost":
        scores = finite if len(finite) else 1 - history.train_accuracy[np.isfinite(history.train_accuracy)]
        return (
            f"Diverged: the training {what} had come down to {loss(scores.min())} and ended at "
            f"{loss(scores[-1])}; most "
            "of what was learnt is lost."
        )
    if found.verdict == TOO_SHORT or found.train is None or found.validation is None:
        usable = int((np.isfinite(history.val_loss) | np.isfinite(history.val_accuracy)).sum())
        return f"Too short to tell: {usable} of {last} epoch(s) have scores, and a trend needs at least {MIN_EPOCHS}."
    train, val = found.train.middle, found.validation.middle
    start, lowest = third(len(val)), int(val.argmin())
    fall = 1 - val[-1] / val[start]
    span = _span(found, last)
    if found.cause == "off trend":
        return (
            f"Unstable: in {found.off_trend} of {last} epochs the validation {what} lies more than "
            f"{percent(OFF_TREND)} "
            "off its own trend, so the last epoch's score is a matter of luck."
        )
    if found.cause == "both rise":
        return (
            f"Unstable: since its lowest value the validation {what} has risen by "
            f"{percent(val[-1] / val.min() - 1)}, and "
            f"the training {what} with it (from {loss(train[lowest])} to {loss(train[-1])})."
        )
    if found.cause == "rise":
        if found.turn and found.epochs is not None:  # the middle of the turns, which is the one that is told
            lowest = int(np.abs(found.epochs - found.turn[0]).argmin())
        at = round(float(found.epochs[lowest])) if found.epochs is not None else lowest + 1
        return (
            f"Overfitting: since epoch {at} the validation {what} has risen by "
            f"{percent(val[-1] / val[lowest] - 1)} (from "
            f"{loss(val[lowest])} to {loss(val[-1])}) while the training {what} went from {loss(train[lowest])} to "
            f"{loss(train[-1])}: the model learns its training images by heart."
        )
    if found.verdict == OVERFITTING:
        return (
            f"Overfitting: over {span} the validation {what} {moved(-fall)}, and the training {what} "
            f"({loss(train[-1])}) is "
            f"less than half of it ({loss(val[-1])}): what is still learnt holds for the training images alone."
        )
    if found.verdict == UNDERFITTING:
        return f"Underfitting: {_trained(found, what)[0].lower()}{_trained(found, what)[1:]}"
    if found.verdict == STILL_IMPROVING:
        return (
            f"Still improving: over {span} the validation {what} {moved(-fall)} (from {loss(val[start])} to "
            f"{loss(val[-1])}), so the end is not in sight."
        )
    if found.verdict == GOOD_FIT:
        return (
            f"Good fit: over {span} the validation {what} {moved(-fall)}, so it has levelled off, at "
            f"{loss(val[-1])}; the "
            f"training {what}, {loss(train[-1])}, lies {percent(max(0, 1 - train[-1] / val[-1]))} below."
        )
    raise ValueError(f"no words for the verdict {found.verdict!r}")


def _span(found: Judgement, last: int) -> str:
    """Name the epochs over which the fall is measured."""
    if found.epochs is None:
        return "the last third of the epochs"
    count = last - round(float(found.epochs[third(len(found.epochs))]))
    return f"the last {count} of {last} epochs" if count > 1 else f"the last epoch of {last}"


def _trained(found: Judgement, what: str) -> str:
    """Say how well the model knows its own training images, and what the second half of the run added."""
    if found.train_error is not None:
        error = found.train_error.middle
        gain = 100 * (error[half(len(error))] - error[-1])
        return (
            f"The model is still wrong on {percent(error[-1], 1)} of its own training images; the second half "
            "of the run "
            f"changed that by {signed(-gain)} points."
        )
    curve = found.train.middle if found.train else np.array([np.nan])
    return (
        f"The training {what} is still {loss(curve[-1])}; in the middle of the run it was "
        f"{loss(curve[half(len(curve))])}."
    )


def _gap_sentence(when: str, train_accuracy: float, val_accuracy: float, gap: Estimate) -> str:
    return (
        f"{when} the model is right on {percent(train_accuracy, 1)} of the training images and on "
        f"{percent(val_accuracy, 1)} of the validation images: a gap of {points(gap)}."
    )


def _stopping(found: Judgement, numbers: dict[str, Any], last: int) -> dict[str, str]:
    if found.verdict != OVERFITTING or not numbers["epochs_saved"]:
        return {}
    seconds, gained = numbers["seconds_saved"], numbers["accuracy_gained"]
    saved = f"{numbers['epochs_saved']} of {last} epochs" + (f" ({duration(seconds)})" if seconds else "")
    sentence = f"Stopping after epoch {numbers['best_epoch']}, the best by validation loss, would have saved {saved}"
    if gained:
        word = "gained" if gained.value >= 0 else "cost"
        sentence += f" and {word} {abs(gained.value):.1f} ± {gained.margin:.1f} points of validation accuracy"
    return {"stopping": sentence + ".", "stop": str(numbers["best_epoch"])}
