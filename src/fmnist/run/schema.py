"""What the JSON files of a run hold: one table, and a check against it. Knows no settings; `config` checks those.

A run may come from somebody else, or from a disk that failed. Who has checked it need not expect surprises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fmnist.config import SECTIONS
from fmnist.errors import FmnistError, InputError
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

_NUMBER, _SHARE, _PLAIN_NAME = "a number", "a number from 0 to 1", "a file's name without a slash"
_MOMENT = (None, {"epoch": int, "low": int, "high": int})
_SETTING = (None, str, bool, _NUMBER, [_NUMBER])
_SCORES = {"precision": _SHARE, "recall": _SHARE, "f1": _SHARE}

# A type, a kind of number, a list of one kind, a mapping by its keys (with `?`: it may be missing) or of any keys
# (`*`), or a tuple of what there may be instead.
FILES: dict[str, dict[str, Any]] = {
    "config.json": {
        "preset": str,
        "parameters?": int,
        **{f"{section}?": {"*": _SETTING} for section in SECTIONS},
        "teacher?": {"*": (None, str)},
        "dataset": {
            "class_names": [str],
            "image_shape": [int],
            "num_train?": int,
            "num_validation?": int,
            "num_test?": int,
        },
    },
    "environment.json": {
        "data_sha256": {"*": str},
        "data_source": str,
        "processor?": (None, str),
        "cores?": (None, int),
    },
    "status.json": {
        "state": str,
        "epoch?": int,
        "epochs?": int,
        "step?": int,
        "seconds?": _NUMBER,
        "model_epoch?": int,
        "message?": str,
    },
    "metrics.json": {
        "accuracy": _SHARE,
        "loss": _NUMBER,
        "accuracy_interval": [_SHARE],
        "correct": int,
        "num_images": int,
        "macro": _SCORES,
        "per_class": [{"name": str, "support": int, **_SCORES}],
        "class_names": [str],
        "confusion_matrix": [[int]],
    },
    "diagnosis.json": {
        "verdict": str,
        "gap_opens": _MOMENT,
        "turns": _MOMENT,
        "sentences": [str],
        "advice": [{"*": (str, {"*": _SETTING})}],
        "notes": [str],
    },
    "exports.json": {
        "model_sha256": str,
        "files": [{"format": str, "file": _PLAIN_NAME, "bytes": int, "sha256": str, "passed": bool}],
    },
    "benchmark.json": {"environment": {"*": (None, str, bool, _NUMBER)}, "rows": [{"format": str}]},
}


def check(run: RunDirectory) -> RunDirectory:
    """Return a run whose files are what they should be.

    Raises:
        InputError: tells everything that is wrong.
    """
    if found := problems(run):
        told = [f"{run.path} has damaged files:", *(f"  - {text}" for text in found)]
        raise InputError("\n".join([*told, f"`fmnist doctor {run.path}` says what to do"]))
    return run


def problems(run: RunDirectory) -> list[str]:
    """Return what is wrong with the JSON files and the history of a run; what isn't there yet is not wrong."""
    found = []
    for path in (run.config, run.environment, run.status, run.metrics, run.diagnosis, run.exports_index, run.benchmark):
        try:
            content = read_json(path) if path.is_file() else None
        except FmnistError as error:
            found.append(str(error))
            continue
        if content is not None:
            wrong = list(_wrong(content, FILES[path.name], "")) or list(_unfitting(path.name, content))
            found += [f"{path.name}: {text}" for text in wrong[:5]]
    try:
        if run.history.is_file():
            read_history(run.history)
    except FmnistError as error:
        found.append(str(error))
    return found


def _unfitting(name: str, content: dict[str, Any]) -> Iterator[str]:
    """Yield which parts of a file, each right by itself, do not fit together."""
    if name == "config.json":
        shape, names = content["dataset"]["image_shape"], content["dataset"]["class_names"]
        if len(shape) != 2 or min(shape) < 1 or len(names) < 2:
            yield f"has {len(names)} classes and images of {shape}; expected two classes or more, and [height, width]"
    if name == "metrics.json":
        count = len(content["class_names"])
        matrix = content["confusion_matrix"]
        if count < 2 or [len(row) for row in matrix] != [count] * count or len(content["per_class"]) != count:
            yield f"its confusion matrix does not fit its {count} classes"
        elif sum(map(sum, matrix)) != content["num_images"] or min(map(min, matrix)) < 0:
            yield "its confusion matrix does not count its images"
        if len(content["accuracy_interval"]) != 2:
            yield "its accuracy_interval is no pair"


def _wrong(value: Any, expected: Any, place: str) -> Iterator[str]:
    """Yield what in a value is not as expected: where, and what."""
    if isinstance(expected, tuple):
        if all(any(_wrong(value, one, place)) for one in expected):
            yield f"{place or 'it'} is {_shown(value)}"
    elif isinstance(expected, list) and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _wrong(item, expected[0], f"{place}[{number}]")
    elif isinstance(expected, dict) and isinstance(value, dict):
        for key, kind in expected.items():
            name = key.removesuffix("?")
            if key == "*":
                for other, item in value.items():
                    yield from _wrong(item, kind, f"{place}.{other}"[:80].lstrip("."))
            elif name in value:
                yield from _wrong(value[name], kind, f"{place}.{name}".lstrip("."))
            elif name == key:
                yield f"{place}.{name} is missing".lstrip(".")
    elif not _is_of(value, expected):
        yield f"{place or 'it'} is {_shown(value)}, expected {_words(expected)}"


def _is_of(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind == _PLAIN_NAME:
        return isinstance(value, str) and bool(re.fullmatch(r"[^/\\\0]+", value)) and value not in (".", "..")
    if isinstance(value, bool):
        return kind is bool
    if kind in (_NUMBER, _SHARE):
        return isinstance(value, int | float) and abs(value) < 1e15 and (kind == _NUMBER or 0 <= value <= 1)
    if kind is int:
        return isinstance(value, int) and abs(value) < 1e15
    return isinstance(kind, type) and isinstance(value, kind)


def _words(kind: Any) -> str:
    if isinstance(kind, list | dict):
        return "a list" if isinstance(kind, list) else "an object"
    words: dict[Any, str] = {str: "text", int: "a whole number", bool: "true or false", None: "nothing"}
    return words.get(kind, str(kind))


def _shown(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else repr(value)[:60]
