"""Chooses the remedies that fit a history, each with the command that tries it."""

import itertools
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmnist.config import PRESETS, Config, command_flags, leaf_fields, leaves, preset
from fmnist.diagnosis.remedies import REMEDIES
from fmnist.errors import InputError

MAX_OFFERS = 5


@dataclass(frozen=True)
class Advice:
    """A remedy for one history: `command` tries it, with `settings` as the only change.

    `evidence` is what speaks for it in this history; empty where that has been said already.
    """

    title: str
    reason: str
    evidence: str
    command: str
    settings: dict[str, Any]


def advise(
    findings: Collection[str],
    facts: Mapping[str, str],
    config: Config | Mapping[str, Any] | None,
    known: Mapping[str, Any],
    said: Collection[str] = (),
    place: Sequence[Sequence[str]] = (),
) -> tuple[Advice, ...]:
    """Return up to `MAX_OFFERS` remedies, most useful first.

    Args:
        findings: the verdict, and what else was found.
        facts: sentences and numbers by name, for the evidence; a remedy whose fact is missing is left out.
        config: the run's settings, also as in `config.json`; without them, the preset `reference` with those `known`.
        known: settings that the history tells, such as its number of epochs.
        said: sentences that the reader has seen; no evidence is told twice.
        place: the flags, each with its value, that say where the run's data and the runs lie.
    """
    base = _base(config, known)
    now = leaves(base)
    offers: list[Advice] = []
    seen = set(said)
    for remedy in REMEDIES:
        evidence = facts.get(remedy.evidence)
        if not evidence or not set(remedy.when) & set(findings):
            continue
        try:
            new = {name: value(now, facts) if callable(value) else value for name, value in remedy.settings.items()}
            if "epochs" in new and now["time_budget"] is not None:
                new["time_budget"] = None  # which would choose the number of epochs
            changed = base.with_overrides(**new)
        except (KeyError, InputError):  # a fact is missing, or a doubled value leaves its range
            continue
        if changed.resolved() != base.resolved() and all(offer.settings != new for offer in offers):
            command = shlex.join(["fmnist", "train", *itertools.chain.from_iterable([*command_flags(changed), *place])])
            offers.append(Advice(remedy.title, remedy.reason, "" if evidence in seen else evidence, command, new))
            seen.add(evidence)
    return tuple(offers[:MAX_OFFERS])


def _base(config: Config | Mapping[str, Any] | None, known: Mapping[str, Any]) -> Config:
    """Return the run's settings; those of another version, unknown here, are left out."""
    if isinstance(config, Config):
        return config
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
