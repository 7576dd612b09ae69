"""Chooses the remedies that fit a history, each with the command that tries it."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.config import PRESETS, Config, command_flags, leaf_fields, leaves, preset
from fmnist.diagnosis.remedies import REMEDIES, Remedy
from fmnist.errors import InputError

MAX_OFFERS = 5


@dataclass(frozen=True)
class Advice:
    """A remedy for one history: `command` tries it, with `settings` as the only change."""

    title: str
    reason: str
    evidence: str
    command: str
    settings: dict[str, Any]


def advise(
    findings: Collection[str], facts: Mapping[str, str], config: Mapping[str, Any] | None, known: Mapping[str, Any]
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
        if not set(remedy.when) & set(findings):
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
        if not evidence or changed.resolved() == base.resolved() or any(offer.settings == settings for offer in offers):
            continue
        offers.append(Advice(remedy.title, remedy.reason, evidence, train_command(changed), settings))
    return tuple(offers[:MAX_OFFERS])


def train_command(config: Config) -> str:
    """Return the command that trains with these settings."""
    return shlex.join(["fmnist", "train", *(word for flag in command_flags(config) for word in flag)])


def table_problems(remedies: Collection[Remedy] = REMEDIES) -> list[str]:
    """Return what is wrong with the table: settings that do not exist, values they do not take."""
    problems, known, base = [], leaf_fields(), preset("reference")
    for remedy in remedies:
        for name, value in remedy.settings.items():
            if name not in known:
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
