"""Lists the remedies in one table, most useful first, each with the settings that it changes and why that helps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.config import FAMILIES
from fmnist.diagnosis.verdict import (
    CHANCE,
    DIVERGED,
    GOOD_FIT,
    OVERFITTING,
    STILL_IMPROVING,
    TOO_SHORT,
    UNDERFITTING,
    UNSTABLE,
)

OVERCONFIDENT, SLOW = "overconfident", "slow"  # findings that come with a verdict, and have remedies of their own

Settings = Mapping[str, Any]
Change = Callable[[Settings, Mapping[str, str]], Any]


@dataclass(frozen=True)
class Remedy:
    """A row of the table; its title tells the reader what to do, its reason why that helps."""

    title: str
    when: tuple[str, ...]  # verdicts or findings for which it is offered
    evidence: str  # the name of the fact that speaks for it in this history
    settings: Mapping[str, Any]  # the new value of each, or a `Change`: a function of (the run's settings, the facts)
    reason: str


def times(factor: float, name: str, *, at_least: float = 0) -> Change:
    """Return a change that multiplies a number."""

    def change(now: Settings, _: Mapping[str, str]) -> Any:
        changed = max(at_least, now[name] * factor)
        return round(changed) if isinstance(now[name], int) else float(f"{changed:.3g}")

    return change


def times_filters(factor: float) -> Change:
    """Return a change that multiplies the numbers of filters; a whitening stem has as many as its patches need."""

    def change(now: Settings, _: Mapping[str, str]) -> Any:
        kept = int(FAMILIES[now["family"]].whitened_stem)
        return (*now["filters"][:kept], *(max(4, round(count * factor)) for count in now["filters"][kept:]))

    return change


def at_least(value: float, name: str) -> Change:
    """Return a change that raises a setting to a value; one that is higher already, or a list of them, stays."""
    return lambda now, _: now[name] if isinstance(now[name], list | tuple) else max(value, now[name])


def fact(name: str) -> Change:
    """Return a change that takes a whole number from the facts."""
    return lambda _, facts: int(facts[name])


def decaying(now: Settings, _: Mapping[str, str]) -> str:
    """Return an optimizer as like the run's as can be that lets the weights decay."""
    return "adamw" if now["optimizer"] == "adam" else str(now["optimizer"])


def decay(now: Settings, _: Mapping[str, str]) -> float:
    """Return a weight decay; it is multiplied by the learning rate, which is a hundred times smaller for Adam."""
    return 0.05 if now["optimizer"] in ("adam", "adamw") else 5e-4


def patience(now: Settings, _: Mapping[str, str]) -> int:
    """Return a patience in epochs, unless there is one; a triangle that is stopped would lack its small steps."""
    return int(now["early_stopping"] or (3 if now["schedule"] == "constant" else 0))


# fmt: off
REMEDIES = (
    # Overfitting, in the order that the study `remedies` found (docs/overfitting.md): mirrored and shifted images close
    # the gap and gain accuracy, dropout closes it, stopping halves it and saves time.
    Remedy("Show mirrored and shifted images (augmentation)", (OVERFITTING,), "gap",
           {"flip": True, "shift": at_least(1, "shift")},
           "Other versions of an image in each epoch cannot be learnt by heart, and a mirrored coat is still a coat."),
    Remedy("Switch off a share of the units at random while training (dropout)", (OVERFITTING,), "gap",
           {"dropout": at_least(0.3, "dropout")},
           "No unit can rely on another being there, so the network cannot store single images so easily."),
    Remedy("Stop when the validation loss no longer falls", (OVERFITTING,), "stopping",
           {"early_stopping": patience},
           "The epochs after the best one cost time and make the probabilities worse."),
    Remedy("Soften the labels (label smoothing)", (OVERCONFIDENT,), "surer",
           {"label_smoothing": 0.1},
           "A target of 91% instead of 100% gives no reward for being ever surer, which is what the rising loss "
           "punishes."),
    Remedy("Train for fewer epochs", (OVERFITTING,), "stopping",
           {"epochs": fact("stop")},
           "The best epoch is known now, so that the next run can end there."),
    Remedy("Let the weights decay", (OVERFITTING,), "gap",
           {"optimizer": decaying, "weight_decay": decay},
           "Pulling all weights towards zero in each step keeps the network from bending around single images."),
    Remedy("Use half as many filters", (OVERFITTING,), "knows",
           {"filters": times_filters(0.5)},
           "A smaller network has less room to store single images."),
    Remedy("Penalise large weights (L2)", (OVERFITTING,), "gap",
           {"l2": at_least(1e-4, "l2")},
           "Large weights are what it takes to single out one image."),
    Remedy("Rotate and zoom the images, and blank out patches", (OVERFITTING,), "gap",
           {"rotation": at_least(10.0, "rotation"), "zoom": at_least(0.1, "zoom"), "erase": at_least(0.3, "erase")},
           "The more an image varies, the less can be learnt by heart."),
    # Underfitting: let it learn more, faster, longer.
    Remedy("Take larger steps (ten times the learning rate)", (SLOW,), "improving",
           {"learning_rate": times(10, "learning_rate")},
           "The loss still falls steadily, but in steps too small for this number of epochs."),
    Remedy("Use Adam at its usual learning rate", (SLOW,), "improving",
           {"optimizer": "adam", "learning_rate": 0.001},
           "Adam sets the size of its steps for each weight by itself, and 0.001 suits most small networks."),
    Remedy("Use twice as many filters", (UNDERFITTING,), "trained",
           {"filters": times_filters(2)},
           "A larger network can tell apart what this one cannot."),
    Remedy("Start from the reference network", (UNDERFITTING,), "trained",
           {"family": "reference", "filters": (32, 64, 128), "kernel_size": 3, "activation": None,
            "batch_normalization": None, "dropout": 0.0, "l2": 0.0},
           "Its 356,234 parameters are known to be enough to learn 99% of the training images."),
    Remedy("Normalise each batch (batch normalisation)", (UNDERFITTING, UNSTABLE, DIVERGED), "trained",
           {"batch_normalization": True},
           "Keeping every layer's input on one scale lets a network learn at larger steps."),
    Remedy("Train twice as long", (STILL_IMPROVING, UNDERFITTING), "improving",
           {"epochs": times(2, "epochs")},
           "The validation loss still falls, so more epochs will lower it further."),
    Remedy("Train long enough to judge", (TOO_SHORT,), "length",
           {"epochs": times(5, "epochs", at_least=10)},
           "A trend needs at least 4 epochs, and 10 to be told from jitter."),
    # Nothing was learnt: the size of the steps is the only setting that may be to blame.
    Remedy("Take smaller steps (a tenth of the learning rate)", (CHANCE,), "verdict",
           {"learning_rate": times(0.1, "learning_rate")},
           "A step that is far too large can leave units that answer nothing, and then no epoch changes them."),
    Remedy("Take larger steps (ten times the learning rate)", (CHANCE,), "verdict",
           {"learning_rate": times(10, "learning_rate")},
           "Steps that are far too small leave the network as it was drawn."),
    Remedy("Use Adam at its usual learning rate", (CHANCE,), "verdict",
           {"optimizer": "adam", "learning_rate": 0.001, "schedule": "constant"},
           "It is known to teach the reference network, so what is left are the labels and the loss."),
    # Good fit: where there may be a little more.
    Remedy("Let the learning rate rise and fall", (GOOD_FIT, STILL_IMPROVING), "improving",
           {"schedule": "triangle", "early_stopping": 0},
           "Small steps at the end settle into the valley that large steps jump across."),
    Remedy("Use a larger network together with augmentation", (GOOD_FIT,), "gap",
           {"filters": times_filters(2), "flip": True},
           "While the gap is narrow there is room for a network that learns more."),
    # Unstable or diverged: smaller steps, calmer averages.
    Remedy("Take smaller steps (a tenth of the learning rate)", (UNSTABLE, DIVERGED), "jitter",
           {"learning_rate": times(0.1, "learning_rate")},
           "Steps that are too large jump across the valley instead of down into it."),
    Remedy("Let the learning rate fall to zero", (UNSTABLE,), "jitter",
           {"schedule": "triangle", "early_stopping": 0},
           "The last steps become so small that they no longer jump about."),
    Remedy("Average over more images a step", (UNSTABLE, DIVERGED), "jitter",
           {"batch_size": times(4, "batch_size")},
           "The mean over a larger batch points the way down more reliably."),
    Remedy("Use Adam at its usual learning rate", (DIVERGED,), "jitter",
           {"optimizer": "adam", "learning_rate": 0.001, "schedule": "constant"},
           "Adam sets the size of its steps for each weight by itself, and 0.001 suits most small networks."),
)
# fmt: on
