"""Puts what was found in a history into plain sentences, each with its numbers. Judges nothing.

A state, such as the accuracies at the end, is told as it was measured. A movement, such as a rise, is that of the
trend, which is then named.
"""

from typing import Any

import numpy as np

from fmnist.diagnosis import verdict
from fmnist.diagnosis.finding import Estimate, Moment
from fmnist.diagnosis.history import History
from fmnist.diagnosis.verdict import Judgement, half, third
from fmnist.text import duration, loss, number, percent, plural

# The facts that are told, in this order; the others only serve as evidence for advice.
ORDER = ("verdict", "certainty", "causes", "onset", "turn", "final_gap", "overconfidence", "stopping", "noise")


def facts(history: History, found: Judgement, numbers: dict[str, Any]) -> dict[str, str]:
    """Return sentences, and numbers as text, by name; what this history does not have is missing."""
    last, what, diverged = int(history.epochs[-1]), found.what, found.verdict == verdict.DIVERGED
    told = {"verdict": _verdict(history, found)}
    told["length"] = f"There {'is' if last == 1 else 'are'} only {plural(last, 'epoch')}."
    final: Estimate | None = numbers.get("final_gap")
    if found.train is None or found.validation is None or found.epochs is None:
        if final:
            told["final_gap"] = _gap(history, final)
        told["jitter"] = told["verdict"] if diverged else f"The highest loss was {loss(history.highest_loss)}."
        return told

    val = found.validation.middle
    over = f"Over {_span(found.epochs)} the trend of the validation {what}"
    told["improving"] = f"{over} {_moved(found.change)}, to {loss(val[-1])}."
    told["trained"] = _trained(history, found).capitalize()
    if found.train_error:
        told["knows"] = f"The model is correct on {percent(history.end('train_accuracy'))} of its training images."
    train_end, val_end = (loss(_measured(history, found, part, last)) for part in ("train", "val"))
    ends = f"the training {what} is {train_end} and the validation {what} {val_end}"
    told["gap"] = f"At the end {ends}."
    if diverged:
        return told | {"jitter": told["verdict"]}

    if found.validation.noise:
        noise = f"jitters by {_share(found.validation.noise)} around its trend, the curve without its jitter"
        told["noise"] = f"From one epoch to the next the validation {what} {noise}."
    else:
        told["noise"] = f"The validation {what} is {val_end} in every epoch."
    told["jitter"] = told["noise"]
    if found.cause == verdict.CHANCE:
        told["causes"] = (
            "More epochs will not help. First check that the labels belong to their images, that the loss fits the "
            "last layer (logits or probabilities, labels as numbers or one-hot), and that the learning rate is not 10 "
            "or 100 times too high or too low."
        )
    if found.verdict != verdict.UNSTABLE:
        votes = {name: percent(vote, 0) for name, vote in found.votes.items() if vote >= 0.01}
        mine = votes.pop(found.verdict)
        rest = f" (the others: {', '.join(f'{vote} {name}' for name, vote in votes.items())})" if votes else ""
        told["certainty"] = f"Of the curves that fit these epochs {mine} say so{rest}."
    if opens := numbers["gap_opens"]:
        told["gap"] = f"The gap opens at epoch {opens.epoch} of {last}. {told['gap']}"
        told["onset"] = (
            f"The gap opens at epoch {opens.epoch} {_interval(opens)}: "
            f"from there on the training {what} lies at least {_share(verdict.OPEN)} below the validation {what}."
        )
    else:
        told["onset"] = f"No gap opens: at the end {ends}."
    turns: Moment | None = numbers["turns"]
    if turns:
        lowest = float(np.interp(turns.epoch, found.epochs, val))
        told["turn"] = (
            f"The validation {what} turns at epoch {turns.epoch} {_interval(turns)}: "
            f"its trend is lowest there ({loss(lowest)}) and ends at {loss(val[-1])}."
        )
    if final:
        told["final_gap"] = _gap(history, final)
    if numbers.get("epochs_saved"):
        told["stop"], told["stopping"] = str(numbers["best_epoch"]), _stopping(numbers, last)
    if numbers["overconfident"] and turns:
        gained = numbers["accuracy_gained"]
        rise = _share(val[-1] / np.interp(turns.epoch, found.epochs, val) - 1)
        rose = f"since epoch {turns.epoch} the trend of the validation loss rose by {rise}"
        change = number(-gained.value, 1, sign=True)
        told["surer"] = f"{rose.capitalize()}, and the validation accuracy changed by {change} points."
        told["overconfidence"] = (
            f"The model grows overconfident: {rose} while the validation accuracy held ({change} ± {gained.margin:.1f} "
            "points). It is hardly wrong more often, but far surer when it is."
        )
    return told


def _verdict(history: History, found: Judgement) -> str:
    """Return the first sentence: the verdict and what it rests on."""
    last, what = int(history.epochs[-1]), found.what
    if found.cause == "not finite":
        return f"Diverged: from epoch {history.broken} of {last} on the training loss is not a finite number."
    finite = history.train_loss[np.isfinite(history.train_loss)]
    if found.cause == "guessing":
        highest, end = loss(history.highest_loss), loss(finite[-1])
        return f"Diverged: the loss rose to {highest} and the training loss ended at {end}, no better than guessing."
    if found.cause == "lost":
        scores = finite if len(finite) else 1 - history.train_accuracy[np.isfinite(history.train_accuracy)]
        return (
            f"Diverged: the training {what} had come down to {loss(scores.min())} and ended at {loss(scores[-1])}; "
            "most of what was learnt is lost."
        )
    if last == 1:
        return f"Too short to tell: one epoch has no curve; a trend needs at least {verdict.MIN_EPOCHS} epochs."
    if found.train is None or found.validation is None or found.epochs is None:
        usable = int((np.isfinite(history.val_loss) | np.isfinite(history.val_accuracy)).sum())
        return (
            f"Too short to tell: {usable} of {plural(last, 'epoch')} {'has' if usable == 1 else 'have'} scores, "
            f"and a trend needs at least {verdict.MIN_EPOCHS}."
        )
    val, trend = found.validation.middle, f"the trend of the validation {what}"
    lowest = int(val.argmin())
    over = f"over {_span(found.epochs)} {trend} {_moved(found.change)}"
    end, train_end = loss(val[-1]), loss(_measured(history, found, "train", last))
    if found.cause == verdict.SOLVED:
        measured = loss(_measured(history, found, "val", last))
        return (
            f"Good fit: the task is solved. The validation {what} is {measured}, and next to nothing is left to gain."
        )
    if found.cause == "rise" and found.turn:  # the middle of the turns, which is the one that is told
        lowest = int(np.abs(found.epochs - found.turn[0]).argmin())
    then = loss(_measured(history, found, "train", found.epochs[lowest]))
    if found.cause == verdict.CHANCE:
        return (
            f"Underfitting: in {plural(last, 'epoch')} nothing was learnt. The training {what} is {train_end}, which "
            "is what guessing scores."
        )
    if found.cause == "off trend":
        scored = int(np.isfinite(history.val_loss if what == "loss" else history.val_accuracy).sum())
        return (
            f"Unstable: in {found.off_trend} of {scored} epochs the validation {what} lies more than "
            f"{_share(verdict.OFF_TREND)} off its own trend, so the last epoch's score is a matter of luck."
        )
    if found.cause == "both rise":
        return (
            f"Unstable: since its lowest value {trend} has risen by {_share(val[-1] / val.min() - 1)}, "
            f"and the training {what} with it (from {then} to {train_end})."
        )
    if found.cause == "rise":
        rise = f"{_share(val[-1] / val[lowest] - 1)} (from {loss(val[lowest])} to {end})"
        return (
            f"Overfitting: since epoch {round(float(found.epochs[lowest]))} {trend} has risen by {rise} "
            f"while the training {what} went from {then} to {train_end}: "
            "the model learns its training images by heart."
        )
    if found.verdict == verdict.OVERFITTING:
        return (
            f"Overfitting: {over}, to {end}, and the training {what} ({train_end}) is less "
            "than half of it: what is still learnt holds for the training images alone."
        )
    if found.verdict == verdict.UNDERFITTING:
        return f"Underfitting: {_trained(history, found)}"
    if found.verdict == verdict.STILL_IMPROVING:
        start = loss(val[third(len(val))])
        return f"Still improving: {over} (from {start} to {end}), so the end is not in sight."
    return f"Good fit: {over}, so it has levelled off, at {end}; the training {what} is {train_end}."


def _measured(history: History, found: Judgement, part: str, epoch: float) -> float:
    """Return the loss of `train` or `val` at an epoch, or where the history has none, the error rate."""
    return history.at(f"{part}_loss", epoch) if found.what == "loss" else 1 - history.at(f"{part}_accuracy", epoch)


def _span(epochs: np.ndarray) -> str:
    """Name the epochs over which the fall is measured."""
    last = round(float(epochs[-1]))
    count = last - round(float(epochs[third(len(epochs))]))
    return f"the last {count} of {last} epochs" if count > 1 else f"the last epoch of {last}"


def _trained(history: History, found: Judgement) -> str:
    """Say how well the model knows its own training images, and what the second half of the run added."""
    if found.train_error is not None:
        error = found.train_error.middle
        change = number(100 * (error[-1] - error[half(len(error))]), 1, sign=True)
        return (
            f"the model is still wrong on {percent(1 - history.end('train_accuracy'))} of its own training images; "
            f"the second half of the run changed that by {change} points."
        )
    middle = loss(history.at("train_loss", history.epochs[half(len(history.epochs))]))
    return f"the training loss is still {loss(history.end('train_loss'))}; in the middle of the run it was {middle}."


def _gap(history: History, gap: Estimate) -> str:
    return (
        f"At the end the model is correct on {percent(history.end('train_accuracy'))} of the training images and on "
        f"{percent(history.end('val_accuracy'))} of the validation images: "
        f"a gap of {number(gap.value, 1)} ± {gap.margin:.1f} percentage points."
    )


def _stopping(numbers: dict[str, Any], last: int) -> str:
    saved = f"{numbers['epochs_saved']} of {plural(last, 'epoch')}"
    if seconds := numbers.get("seconds_saved"):
        saved += f" ({duration(seconds)})"
    if gained := numbers.get("accuracy_gained"):
        word = "gained" if gained.value >= 0 else "cost"
        saved += f" and {word} {abs(gained.value):.1f} ± {gained.margin:.1f} points of validation accuracy"
    best = f"epoch {numbers['best_epoch']}, where the trend is lowest,"
    return f"Stopping after {best} would have saved {saved}."


def _interval(moment: Moment) -> str:
    """Tell where a moment may lie; an epoch that is certain has no interval."""
    return f"(90% sure: {moment.low} to {moment.high})" if moment.low < moment.high else "(90% sure)"


def _share(share: float) -> str:
    return percent(share, 1 if 0 < share < 0.095 else 0)


def _moved(change: float) -> str:
    """Say by which share (-1 and up) something fell or rose."""
    if abs(change) < 0.0005:
        return "changed by less than 0.1%"
    return f"fell by {_share(-change)}" if change < 0 else f"rose by {_share(change)}"
