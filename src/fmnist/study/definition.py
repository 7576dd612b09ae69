"""Reads and checks a study: a baseline, its variants and the seeds. Knows no Keras and runs nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fmnist.config import DEFAULT_PRESET, PRESETS, Config, preset
from fmnist.errors import InputError, did_you_mean, listed

BASELINE = "baseline"
MAX_VARIANTS, MAX_SEEDS, MAX_SEED, MAX_DESCRIPTION = 50, 100, 2**31 - 1, 500
FIELDS = ("description", "preset", "settings", "seeds", "corrupted_images", "variants")
# Variants are compared on the same images: what would change the split is the study's, not a variant's.
SHARED = ("limit", "validation_fraction")
# What is no setting of a study's runs, and why.
REFUSED = {"seed": "seeds are the study's: list them in its field 'seeds'"}
REFUSED |= dict.fromkeys(("folds", "fold"), "a study's runs are scored on the test set, which folds leave alone")
_SHARED = {name: f"'{name}' would change the split between variants; set it under 'settings'" for name in SHARED}

Place = tuple[str | int, ...]  # keys from the top down to a value


@dataclass(frozen=True)
class Study:
    """A baseline and its variants, each to be run with every seed.

    Attributes:
        name: of its folder among the runs.
        description: the question it answers, one sentence.
        preset: that the baseline starts from.
        settings: leaf settings in which the baseline differs from the preset.
        variants: by name, the leaf settings in which each differs from the baseline.
        seeds: each decides split, first weights, order and augmentation of one run of every variant.
        corrupted_images: on how many test images, corrupted in every way, each run is scored; 0 leaves that out.

    Raises:
        InputError: a setting is unknown or not valid, two variants are the same, or there are none; all at once.
    """

    name: str
    description: str = ""
    preset: str = "reference"
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    corrupted_images: int = 0

    def __post_init__(self) -> None:
        content = {name: getattr(self, name) for name in FIELDS} | {"seeds": list(self.seeds)}
        refuse("study", f"the study '{self.name}'", list(_problems(content)), {})

    def names(self) -> list[str]:
        """Return the baseline's name and the variants'."""
        return [BASELINE, *self.variants]

    def config(self, variant: str, seed: int) -> Config:
        """Return the settings of one run."""
        changes = {} if variant == BASELINE else self.variants[variant]
        return preset(self.preset, **{**self.settings, **changes, "seed": seed})

    def changed(self, settings: Mapping[str, Any], seeds: tuple[int, ...] | None = None) -> Study:
        """Return a copy with other seeds, and with settings that replace the baseline's; a variant's own stay."""
        return dataclasses.replace(self, settings={**self.settings, **settings}, seeds=seeds or self.seeds)


def folder_name(variant: str, seed: int) -> str:
    """Return the name of a run's directory inside its study's: `dropout-0.4-seed1`."""
    return f"{_slug(variant)}-seed{seed}"


def builtin_studies() -> dict[str, Path]:
    """Return the file of each study that comes with the package, by name."""
    folder = Path(str(resources.files("fmnist.study") / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_study(name: str | Path) -> Study:
    """Return the built-in study of a name, or the one in a YAML file, which is named after the file.

    Raises:
        InputError: there is no such study; or it is not valid: then every problem, each with its line.
    """
    known = builtin_studies()
    path = Path(name) if isinstance(name, Path) or name.endswith((".yaml", ".yml")) else known.get(name)
    if path is None:
        raise InputError(
            f"no study is named '{name}'{did_you_mean(str(name), list(known))} "
            f"(built-in studies: {', '.join(known)}; a study of your own is a file that ends in .yaml)"
        )
    from fmnist.study.yamlfile import read_yaml

    content, lines = read_yaml(path)
    refuse("study", str(path), list(_problems(content)), lines)
    given = {key: value for key, value in content.items() if value is not None}
    if (seeds := given.get("seeds")) is not None:
        given["seeds"] = tuple(range(seeds) if isinstance(seeds, int) else seeds)
    return Study(name_of(path), **given)


def name_of(path: Path) -> str:
    """Return the name that a file gives to what it describes, and to its folder.

    Raises:
        InputError: a folder should not be called so.
    """
    if _slug(path.stem) != path.stem.lower():
        raise InputError(f"{path}: its name becomes a folder's; expected letters, digits, '-', '_' and '.' only")
    return path.stem


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")


def refuse(what: str, source: str, problems: list[tuple[Place, str]], lines: Mapping[Place, int]) -> None:
    """Raise all problems of a study or a sweep as one error, each with its line, or without lines with its place."""
    told = []
    for place, text in problems:
        line = next((lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in lines), None)
        told.append(f"{source}, {f'line {line}' if line else ' / '.join(map(str, place))}: {text}")
    if told:
        raise InputError(listed(f"the {what} is not valid", told))


def field_problems(what: str, content: Any, fields: tuple[str, ...]) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with the fields of a study or a sweep as such, and with its description and its preset."""
    if not isinstance(content, Mapping):
        got = "nothing" if content is None else f"a {type(content).__name__}"
        yield (), f"got {got}, expected the fields {', '.join(fields)}"
        return
    for name in content:
        if name not in fields:
            hint = did_you_mean(name, list(fields)) or f"; expected {', '.join(fields)}"
            yield (name,), f"a {what} has no field '{name}'{hint}"
    description, base = content.get("description") or "", content.get("preset") or DEFAULT_PRESET
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        yield ("description",), f"got {str(description)[:40]!r}, expected text of at most {MAX_DESCRIPTION} characters"
    if not isinstance(base, str) or base not in PRESETS:
        hint = did_you_mean(str(base), list(PRESETS))
        yield ("preset",), f"no preset is named '{base}'; expected one of {', '.join(PRESETS)}{hint}"


def is_readable(problems: list[tuple[Place, str]]) -> bool:
    """Whether the rest can be checked in spite of the problems that `field_problems` found."""
    return not {(), ("preset",)} & {place for place, _ in problems}


def _problems(content: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with a study's fields: where, and what."""
    faults = list(field_problems("study", content, FIELDS))
    yield from faults
    if not is_readable(faults):
        return
    base = content.get("preset") or "reference"
    yield from _seed_problems(content.get("seeds"))
    if type(corrupted := content.get("corrupted_images") or 0) is not int or corrupted < 0:
        yield ("corrupted_images",), f"got {corrupted!r}, expected a number of test images, or 0"
    settings, variants = content.get("settings") or {}, content.get("variants") or {}
    faults = list(setting_problems(("settings",), settings, base, {}, REFUSED))
    if not isinstance(variants, Mapping) or not 1 <= len(variants) <= MAX_VARIANTS:
        yield ("variants",), f"expected 1 to {MAX_VARIANTS} variants, each a name with the settings that it changes"
        variants = {}
    for name, changes in variants.items():
        if not re.fullmatch(r"\w[\w .,+×-]{0,39}", str(name)) or not _slug(str(name)):
            faults.append((("variants", name), f"got the name '{name}', expected up to 40 letters, digits, ' .,+-_'"))
        faults += setting_problems(("variants", name), changes, base, {} if faults else settings, REFUSED | _SHARED)
    yield from faults
    if not faults:
        yield from _twins(base, settings, variants)


def _seed_problems(seeds: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with the number of seeds, or with the list of them; None stands for the usual ones."""
    listed = seeds if isinstance(seeds, list) else []
    count = len(listed) if isinstance(seeds, list) else 1 if seeds is None else seeds
    whole = all(type(one) is int and 0 <= one <= MAX_SEED for one in [count, *listed])
    if not whole or not 1 <= count <= MAX_SEEDS:
        expected = f"expected how many seeds (1 to {MAX_SEEDS}), or a list of them such as [0, 1, 2]"
        yield ("seeds",), f"got {seeds}, {expected}"
    elif twice := [seed for seed in listed if listed.count(seed) > 1]:
        yield ("seeds",), f"seed {min(twice)} stands there twice; a run repeated is the same run"


def setting_problems(
    place: Place, settings: Any, base: str, below: Mapping[str, Any], refused: Mapping[str, str]
) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with settings that replace those `below`, which replace the preset's.

    `refused` are settings that may not stand here, and why.
    """
    if not isinstance(settings, Mapping):
        yield place, f"got {settings!r}, expected settings such as 'learning_rate: 0.002'"
        return
    found = [((*place, name), text) for name, value in settings.items() if (text := fault(base, {name: value}))]
    yield from (((*place, name), refused[name]) for name in settings if name in refused)
    if together := fault(base, {**below, **settings}):
        yield from found or [(place, together)]


def fault(base: str, settings: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the settings, on one line, or return None."""
    try:
        preset(base, **settings)
    except InputError as error:
        return str(error).partition(":\n  ")[2].replace("\n  ", "; ") or str(error)
    return None


def _twins(base: str, settings: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield variants that are the baseline or one another, or whose directories would be."""
    seen, folders = {preset(base, **settings).resolved(): BASELINE}, {BASELINE: BASELINE}
    for name, changes in variants.items():
        config = preset(base, **{**settings, **changes}).resolved()
        if config in seen:
            yield ("variants", name), f"'{name}' has the same settings as '{seen[config]}'"
        elif _slug(name) in folders:
            yield ("variants", name), f"'{name}' would share its directories with '{folders[_slug(name)]}'"
        seen.setdefault(config, name)
        folders.setdefault(_slug(name), name)
