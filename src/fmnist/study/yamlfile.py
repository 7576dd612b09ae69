"""Reads a small YAML file as plain values, with the line of each. Knows nothing of studies.

Reads only what a short list of settings needs: no aliases, no tags, no deep nesting, no key twice, 64 KiB at most.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from fmnist.errors import InputError

MAX_BYTES, MAX_DEPTH = 64 * 2**10, 8
MAX_BITS = 10_000  # of a whole number; Python writes none of many more

Place = tuple[str | int, ...]  # keys and list positions from the top down to a value


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-4` as the number it is in YAML 1.2; PyYAML asks for a point and a sign."""


_FLOAT = "tag:yaml.org,2002:float"
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))


def read_yaml(path: Path) -> tuple[Any, dict[Place, int]]:
    """Return a file's values (dictionaries, lists, text, numbers, true, false, None) and the line of each, from 1.

    Raises:
        InputError: the file cannot be read, is larger than 64 KiB, is no YAML, holds several documents, an alias, a tag
            or a key twice, or is nested more than 8 deep; names file and line.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path} has {size:,} bytes; expected at most {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: {error}") from error
    try:
        _refuse_tricks(path, text)
        node = yaml.compose(text, Loader=_Loader)
        lines: dict[Place, int] = {}
        return (_value(path, node, (), lines) if node else None), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: {', '.join(filter(None, (error.context, error.problem)))}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {error}") from error


def _refuse_tricks(path: Path, text: str) -> None:
    """Walk the parser's events, which takes no recursion and expands nothing, before a tree is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(f"{path}, line {line}: anchors (&) and aliases (*) are not read here; write the value out")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            raise InputError(f"{path}, line {line}: tags ({event.tag}) are not read here")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InputError(f"{path}, line {line}: nested more than {MAX_DEPTH} deep")


def _value(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, (*place, number), lines) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{path}, line {line}: a key must be a name")
            key = key_node.value
            here = (*place, key)
            if key in content:
                raise InputError(f"{path}, line {line}: '{key}' stands here a second time, after line {lines[here]}")
            lines[here] = line
            content[key] = _value(path, value_node, here, lines)
        return content
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise ValueError(f"a whole number of {value.bit_length():,} bits; expected {MAX_BITS:,} at most")
        return value
    except ValueError as error:  # also a date such as 2026-02-31
        raise InputError(f"{path}, line {node.start_mark.line + 1}: {error}") from error
