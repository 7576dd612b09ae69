"""What to try next: one table of remedies, most useful first, and the command that tries each.

A remedy names settings of the configuration. One whose setting does not exist here is never offered; `table_problems`
tells a slip of the pen from a setting that is still to come.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.config import PRESETS, Config, command_flags, leaf_fields, leaves, preset
from fmnist.diagnosis.verdict import (
    DIVERGED,
    GOOD_FIT,
    OVERFITTING,
    STILL_IMPROVING,
    TOO_SHORT,
    UNDERFITTING,
    UNSTABLE,
)
from fmnist.errors import InputError

OVERCONFIDENT = "overconfident"  # a finding that comes with a verdict, and has remedies of its own
MAX_OFFERS = 5

Settings = Mapping[str, Any]
Change = Callable[[Settings, Mapping[str, str]], Any]


@dataclass(frozen=True)
class Remedy:
    """A row of the table.

    Attributes:
        title: what is done, as a command to the reader.
        when: verdicts or findings for which it is offered.
        settings: the new value of each setting, or a function of (the run's settings, the facts).
        reason: why it helps.
        evidence: what in this history speaks for it; `{name}` stands for a fact.
        soon: settings which need not exist yet.
    """

    title: str
    when: tuple[str, ...]
    settings: Mapping[str, Any]
    reason: str
    evidence: str
    soon: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """A remedy for one history: `command` tries it, with `settings` as the only change."""

    title: str
    reason: str
    evidence: str
    command: str
    settings: dict[str, Any]


def times(factor: float, name: str, *, at_least: float = 0) -> Change:
    """Return a change that multiplies a setting, a number or a list of whole numbers."""

    def change(now: Settings, _: Mapping[str, str]) -> Any:
        value = now[name]
        if isinstance(value, list | tuple):
            return tuple(max(int(at_least), round(item * factor)) for item in value)
        changed = max(at_least, value * factor)
        return round(changed) if isinstance(value, int) else float(f"{changed:.3g}")

    return change


def fact(name: str) -> Change:
    """Return a change that takes a whole number from the facts."""
    return lambda _, facts: int(facts[name])


def decaying(now: Settings, _: Mapping[str, str]) -> str:
    """Return an optimizer as like the run's as can be that lets the weights decay."""
    return "adamw" if now["optimizer"] == "adam" else str(now["optimizer"])


def decay(now: Settings, _: Mapping[str, str]) -> float:
    """Return a weight decay; it is multiplied by the learning rate, which is a hundred times smaller for Adam."""
    return 0.05 if now["optimizer"] in ("adam", "adamw") else 5e-4


REMEDIES = (
    # Overfitting: first what keeps the model from learning images by heart, then what ends the run in time.
    Remedy(
        "Switch off a share of the units at random while training (dropout)",
        (OVERFITTING,),
        {"dropout": 0.3},
        "No unit can rely on another being there, so the network cannot store single images so easily.",
        "{gap}",
        soon=("dropout",),
    ),
    Remedy(
        "Show mirrored and shifted images (augmentation)",
        (OVERFITTING,),
        {"flip": True, "shift": 2},
        "Other versions of an image in each epoch cannot be learnt by heart, and a mirrored coat is still a coat.",
        "{gap}",
    ),
    Remedy(
        "Stop when the validation loss no longer falls",
        (OVERFITTING,),
        {"early_stopping": 3},
        "The epochs after the best one cost time and make the probabilities worse.",
        "{stopping}",
        soon=("early_stopping",),
    ),
    Remedy(
        "Soften the labels (label smoothing)",
        (OVERCONFIDENT,),
        {"label_smoothing": 0.1},
        "A target of 91% instead of 100% gives no reward for being ever surer, which is what the rising loss punishes.",
        "{surer}",
    ),
    Remedy(
        "Train for fewer epochs",
        (OVERFITTING,),
        {"epochs": fact("stop")},
        "The epochs after the best one cost time and make the probabilities worse.",
        "{stopping}",
    ),
    Remedy(
        "Let the weights decay",
        (OVERFITTING,),
        {"optimizer": decaying, "weight_decay": decay},
        "Pulling all weights towards zero in each step keeps the network from bending around single images.",
        "{gap}",
    ),
    Remedy(
        "Use half as many filters",
        (OVERFITTING,),
        {"filters": times(0.5, "filters", at_least=4)},
        "A smaller network has less room to store single images.",
        "{knows}",
    ),
    Remedy(
        "Penalise large weights (L2)",
        (OVERFITTING,),
        {"l2": 1e-4},
        "Large weights are what it takes to single out one image.",
        "{gap}",
        soon=("l2",),
    ),
    Remedy(
        "Rotate and zoom the images, and blank out patches",
        (OVERFITTING,),
        {"rotation": 10, "zoom": 0.1, "erase": 0.2},
        "The more an image varies, the less can be learnt by heart.",
        "{gap}",
        soon=("rotation", "zoom", "erase"),
    ),
    # Underfitting: let it learn more, faster, longer.
    Remedy(
        "Take larger steps (ten times the learning rate)",
        ("slow",),
        {"learning_rate": times(10, "learning_rate")},
        "The loss still falls steadily, but in steps too small for this number of epochs.",
        "{improving}",
    ),
    Remedy(
        "Use Adam at its usual learning rate",
        ("slow",),
        {"optimizer": "adam", "learning_rate": 0.001},
        "Adam sets the size of its steps for each weight by itself, and 0.001 suits most small networks.",
        "{improving}",
    ),
    Remedy(
        "Use twice as many filters",
        (UNDERFITTING,),
        {"filters": times(2, "filters")},
        "A larger network can tell apart what this one cannot.",
        "{trained}",
    ),
    Remedy(
        "Start from the reference network",
        (UNDERFITTING,),
        {"family": "reference", "filters": (32, 64, 128), "kernel_size": 3},
        "Its 356,234 parameters are known to be enough to learn 99% of the training images.",
        "{trained}",
    ),
    Remedy(
        "Normalise each batch (batch normalisation)",
        (UNDERFITTING, UNSTABLE, DIVERGED),
        {"batch_normalization": True},
        "Keeping every layer's input on one scale lets a network learn at larger steps.",
        "{trained}",
        soon=("batch_normalization",),
    ),
    Remedy(
        "Train twice as long",
        (STILL_IMPROVING, UNDERFITTING),
        {"epochs": times(2, "epochs")},
        "What still falls has not reached its end.",
        "{improving}",
    ),
    Remedy(
        "Train long enough to judge",
        (TOO_SHORT,),
        {"epochs": times(5, "epochs", at_least=10)},
        "A trend needs at least 4 epochs, and 10 to be told from jitter.",
        "{length}",
    ),
    # Good fit: where there may be a little more.
    Remedy(
        "Let the learning rate rise and fall",
        (GOOD_FIT, STILL_IMPROVING),
        {"schedule": "triangle"},
        "Small steps at the end settle into the valley that large steps jump across.",
        "{improving}",
    ),
    Remedy(
        "Use a larger network together with augmentation",
        (GOOD_FIT,),
        {"filters": times(2, "filters"), "flip": True},
        "While the gap is narrow there is room for a network that learns more.",
        "{gap}",
    ),
    # Unstable or diverged: smaller steps, calmer averages.
    Remedy(
        "Take smaller steps (a tenth of the learning rate)",
        (UNSTABLE, DIVERGED),
        {"learning_rate": times(0.1, "learning_rate")},
        "Steps that are too large jump across the valley instead of down into it.",
        "{jitter}",
    ),
    Remedy(
        "Let the learning rate fall to zero",
        (UNSTABLE,),
        {"schedule": "triangle"},
        "The last steps become so small that they no longer jump about.",
        "{jitter}",
    ),
    Remedy(
        "Average over more images a step",
        (UNSTABLE, DIVERGED),
        {"batch_size": times(4, "batch_size")},
        "The mean over a larger batch points the way down more reliably.",
        "{jitter}",
    ),
    Remedy(
        "Use Adam at its usual learning rate",
        (DIVERGED,),
        {"optimizer": "adam", "learning_rate": 0.001, "schedule": "constant"},
        "Adam sets the size of its steps for each weight by itself, and 0.001 suits most small networks.",
        "{jitter}",
    ),
)


def advise(
    findings: Collection[str],
    facts: Mapping[str, str],
    config: Mapping[str, Any] | None,
    known: Mapping[str, Any],
) -> tuple[Advice, ...]:
    """Return up to `MAX_OFFERS` remedies, most useful first.

    Args:
        findings: the verdict, and what else was found.
        facts: sentences and numbers by name, for the evidence; a remedy whose fact is missing or empty is left out.
        config: the run's settings as in its `config.json`; without them, advice starts from the preset `reference`
            and what the history tells of its settings.
        known: settings that the history tells, such as its number of epochs.
    """
    base = _base(config, known)
    now = leaves(base)
    offers: list[Advice] = []
    for remedy in REMEDIES:
        if not set(remedy.when) & set(findings) or not remedy.settings.keys() <= now.keys():
            continue
        try:
            evidence = remedy.evidence.format_map(facts)
            settings = {
                name: value(now, facts) if callable(value) else value for name, value in remedy.settings.items()
            }
            if "epochs" in settings and now.get("time_budget") is not None:
                settings["time_budget"] = None  # which would choose the number of epochs
            changed = base.with_overrides(**settings)
        except (KeyError, InputError):  # a fact is missing, or a doubled value leaves its range
            continue
        if not evidence or changed == base or any(offer.settings == settings for offer in offers):
            continue
        offers.append(Advice(remedy.title, remedy.reason, evidence, train_command(changed), settings))
    return tuple(offers[:MAX_OFFERS])


def train_command(config: Config) -> str:
    """Return the command that trains with these settings."""
    return shlex.join(["fmnist", "train", *(word for flag in command_flags(config) for word in flag)])


def table_problems(remedies: Collection[Remedy] = REMEDIES) -> list[str]:
    """Return what is wrong with the table: settings that do not exist and are not to come, values they do not take."""
    problems, known, base = [], leaf_fields(), preset("reference")
    for remedy in remedies:
        for name, value in remedy.settings.items():
            if name not in known:
                if name not in remedy.soon:
                    problems.append(f"{remedy.title}: no setting is named '{name}'")
            elif not callable(value):
                try:
                    base.with_overrides(**{name: value})
                except InputError as error:
                    problems.append(f"{remedy.title}: {error}")
    return problems


def _base(config: Mapping[str, Any] | None, known: Mapping[str, Any]) -> Config:
    """Return the run's settings; those of another version, unknown here, are left out."""
    if not config:
        return preset("reference", **known)
    name = config.get("preset")
    base = preset(name if name in PRESETS else "reference")
    sections = [section for section in config.values() if isinstance(section, Mapping)]
    settings = {leaf: value for section in sections for leaf, value in section.items() if leaf in leaf_fields()}
    try:
        return base.with_overrides(**settings)
    except InputError:
        return base
