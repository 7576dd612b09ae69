"""Reads and checks a sweep: which settings are searched, in which ranges, and which are fixed. Knows no Optuna."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.config import DEFAULT_PRESET, Config, Range, Search, kinds, leaf_fields, leaf_type, leaves, preset
from fmnist.config.fields import problem
from fmnist.errors import did_you_mean
from fmnist.study import definition
from fmnist.study.definition import Place

FIELDS = ("description", "preset", "settings", "search")
# Searched where nothing else is said, as far as the preset has them and they are not fixed: what decides most about the
# validation loss of every preset and changes neither the network's size nor, by more than a little, its speed.
DEFAULT = ("learning_rate", "batch_size", "weight_decay", "dropout", "label_smoothing", "flip", "shift", "erase")
FOLDS = dict.fromkeys(("folds", "fold"), "a sweep's winner is scored on the test set, which folds leave alone")
# The losses of all trials are compared with one another, so that all are measured on the same images.
FIXED = FOLDS | {
    name: f"'{name}' would change the images for validation between trials; set it under 'settings'"
    for name in ("seed", "limit", "validation_fraction")
}


@dataclass(frozen=True)
class Sweep:
    """A search for the values of some settings that bring the lowest validation loss.

    Attributes:
        name: of its folder among the runs.
        description: what it is for, one sentence.
        preset: that every trial starts from.
        settings: leaf settings in which all trials differ from the preset.
        search: by leaf setting, a `Range`, a tuple of choices, or None for what the setting is declared with; an empty
            mapping takes a usual choice of settings.

    Raises:
        InputError: a setting is unknown or not valid, or a range is none; all at once.
    """

    name: str
    description: str = ""
    preset: str = DEFAULT_PRESET
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search: Mapping[str, Search | None] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        content = {name: getattr(self, name) for name in FIELDS} | {"search": dict(self.search)}
        definition.refuse("sweep", f"the sweep '{self.name}'", list(_problems(content)), {})

    def base(self) -> Config:
        """Return the settings that all trials start from: with the preset's own values for what is searched."""
        return preset(self.preset, **self.settings)

    def config(self, values: Mapping[str, Any]) -> Config:
        """Return the settings of a trial, or raise `InputError` where its values do not go together."""
        return preset(self.preset, **{**self.settings, **values})

    def changed(self, settings: Mapping[str, Any]) -> Sweep:
        """Return a copy in which more settings are fixed."""
        return dataclasses.replace(self, settings={**self.settings, **settings})

    def space(self) -> dict[str, Search]:
        """Return what is searched: for each setting its range, or the values to choose from."""
        base = self.base()
        if self.search:
            return {name: found for name, given in self.search.items() if (found := _resolved(name, given, base))}
        usual = {name: _resolved(name, None, base) for name in DEFAULT if name not in self.settings}
        return {name: found for name, found in usual.items() if found and self._takes(name, found)}

    def _takes(self, name: str, search: Search) -> bool:
        """Whether a setting means anything to the preset, such as weight decay to its optimizer."""
        value = search.high if isinstance(search, Range) else search[-1]
        return definition.fault(self.preset, {**self.settings, name: _typed(name, value)}) is None


def read_sweep(text: str) -> Sweep:
    """Return the sweep in a YAML file, which is named after the file, or the usual one under a name.

    Raises:
        InputError: the file cannot be read or is not valid: then every problem, each with its line.
    """
    if not text.endswith((".yaml", ".yml")):
        return Sweep(text)
    from fmnist.study.yamlfile import read_yaml

    path = Path(text)
    content, lines = read_yaml(path)
    definition.refuse("sweep", text, list(_problems(content)), lines)
    given = {key: value for key, value in content.items() if value is not None}
    given["search"] = {name: _parsed(value) for name, value in given.get("search", {}).items()}
    return Sweep(definition.name_of(path), **given)


def spelled(space: Mapping[str, Search]) -> dict[str, Any]:
    """Return a space as JSON and YAML hold it, which `read_sweep` reads."""
    return {
        name: {"low": one.low, "high": one.high, "log": one.log}
        if isinstance(one, Range)
        else [list(value) if isinstance(value, tuple) else value for value in one]
        for name, one in space.items()
    }


def _parsed(given: Any) -> Any:
    """Return a search as Python writes it, from how a file does: `{low: 0.1, high: 1, log: true}`, or a list."""
    if isinstance(given, list):
        return tuple(tuple(one) if isinstance(one, list) else one for one in given)
    return Range(**given) if isinstance(given, Mapping) else given


def _resolved(name: str, given: Search | None, base: Config) -> Search | None:
    """Return where a setting is searched; None where neither the sweep nor the setting's declaration tells."""
    facts = leaf_fields()[name][1].metadata
    found = given or facts["search"] or facts["choices"] or ((False, True) if bool in _kinds(name) else None)
    if not isinstance(found, Range) or not found.relative:
        return found
    own = leaves(base)[name]
    lowest, highest = facts["min"] or 0, math.inf if facts["max"] is None else facts["max"]
    return Range(max(found.low * own, lowest), min(found.high * own, highest), found.log)


def _kinds(name: str) -> list[type]:
    return kinds(leaf_type(name))[0]


def _typed(name: str, value: Any) -> Any:
    """Return a range's end as the setting has it: YAML and declarations may write 1 for 1.0, and 3.0 is no shift."""
    return value if float in _kinds(name) or not isinstance(value, float) or value % 1 else int(value)


def _problems(content: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with a sweep's fields: where, and what."""
    faults = list(definition.field_problems("sweep", content, FIELDS))
    yield from faults
    if not definition.is_readable(faults):
        return
    name, settings, search = (content.get(key) for key in ("preset", "settings", "search"))
    base = name or DEFAULT_PRESET
    faults = list(definition.setting_problems(("settings",), settings or {}, base, {}, FOLDS))
    yield from faults
    if not isinstance(search or {}, Mapping):
        yield ("search",), f"got {search!r}, expected settings such as 'dropout: {{low: 0, high: 0.5}}'"
        return
    for name, given in (search or {}).items():
        if name not in leaf_fields():
            yield ("search", name), f"no setting is named '{name}'{did_you_mean(str(name), list(leaf_fields()))}"
        elif name in FIXED:
            yield ("search", name), FIXED[name]
        elif name in (settings or {}):
            yield ("search", name), f"'{name}' is both searched and fixed by a setting; leave one of them out"
        elif not faults and (text := _search_problem(name, given, preset(base, **settings or {}))):
            yield ("search", name), text


def _search_problem(name: str, given: Any, base: Config) -> str | None:
    """Say what is wrong with where a setting is searched, or return None."""
    expected = "expected {low: …, high: …}, with log: true for orders of magnitude, or a list of values"
    if isinstance(given, Mapping):
        keys = {"low", "high"}
        numbers = [given.get(key) for key in sorted(keys)]
        whole = all(type(number) in (int, float) for number in numbers) and isinstance(given.get("log", False), bool)
        if not whole or not keys <= given.keys() <= keys | {"log"}:
            return f"got {dict(given)!r}, {expected}"
    elif given is not None and not isinstance(given, Range | list | tuple):
        return f"got {given!r}, {expected}"
    found = _resolved(name, _parsed(given), base)
    if found is None:
        return f"'{name}' has no usual range; {expected}"
    if isinstance(found, Range):
        if not {int, float} & set(_kinds(name)):
            return f"'{name}' is no number; expected a list of values"
        if not found.low < found.high or (found.log and found.low <= 0):
            return f"got {found.low:g} to {found.high:g}, expected low below high, and with log both above 0"
        values: tuple[Any, ...] = (_typed(name, found.low), _typed(name, found.high))
    elif len(values := found) < 2 or any(value in values[:place] for place, value in enumerate(values)):
        return f"got {list(values)}, expected two values or more, each once"
    spec = leaf_fields()[name][1]
    return next((text for value in values if (text := problem(spec, leaf_type(name), value))), None)
