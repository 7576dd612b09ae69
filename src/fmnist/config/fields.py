"""One setting: how it is declared, and what is wrong with a value. Knows no setting by name."""

import sys
import types
import typing
from dataclasses import Field, dataclass, field
from typing import Any

from fmnist.errors import did_you_mean

_NAMES = {int: "a whole number", float: "a number", str: "a name", bool: "true or false"}


@dataclass(frozen=True)
class Range:
    """The numbers, both ends included, among which a search looks for a setting's best value.

    With `log` it looks evenly over the orders of magnitude; with `relative` the ends are factors of the preset's value.
    """

    low: float
    high: float
    log: bool = False
    relative: bool = False


Search = Range | tuple[Any, ...]
"""A range, or the values to choose from."""


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    common: bool = False,
    search: Search | None = None,
) -> Any:
    """Declare a field with its help text and the inclusive range or the choices it must keep to.

    The short help of a command shows the `common` ones only. `search` is where a search looks unless it is told where.
    """
    facts = {"help": help, "min": minimum, "max": maximum, "choices": choices, "common": common, "search": search}
    return field(default=default, metadata=facts)


def kinds(hint: Any) -> tuple[list[type], type | None]:
    """Return the types of a single value and, where a list may be given, the type of its items.

    `float | None` gives `[float], None`, and `float | tuple[float, ...]` gives `[float], float`.
    """
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if is_union else (hint,)
    lists = [typing.get_args(option)[0] for option in options if typing.get_origin(option) is tuple]
    single = [option for option in options if typing.get_origin(option) is not tuple and option is not type(None)]
    return single, lists[0] if lists else None


def problem(spec: Field[Any], hint: Any, value: Any) -> str | None:
    """Say what is wrong with the value of a setting whose annotated type is `hint`, or return None."""
    single, item = kinds(hint)
    if value is None and type(None) in typing.get_args(hint):
        return None
    if item is not None and (isinstance(value, tuple) or not single):
        if not isinstance(value, tuple) or not value:
            example = "a list of whole numbers such as 32,64,128" if item is int else "a number, or some: 0.1,0.2,0.3"
            return f"got {value!r}, expected {example}"
        return next((text for one in value if (text := _problem_of_one(spec, [item], one))), None)
    return _problem_of_one(spec, single, value)


def _problem_of_one(spec: Field[Any], single: list[type], value: Any) -> str | None:
    allowed = (*single, int) if float in single else tuple(single)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in single):
        return f"got {value!r}, expected {' or '.join(_NAMES[kind] for kind in single)}"
    choices, low, high = (spec.metadata[key] for key in ("choices", "min", "max"))
    if choices and value not in choices:
        return f"got {value!r}, expected one of {', '.join(choices)}{did_you_mean(str(value), list(choices))}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # NaN, infinity, or a whole number of hundreds of digits
            return f"got {str(value)[:40]}, expected a finite number"
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"{low} to {high}"
            return f"got {value!r}, expected {bounds}"
    return None
