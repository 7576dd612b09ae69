"""Checks the JSON files of a run, and its history, before they are used. `config` checks the settings.

A run may come from somebody else, or from a disk that failed. Whoever has checked it need not expect surprises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmnist.errors import FmnistError, InputError
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = {"list_type": "a list", "dict_type": "an object", "model_type": "an object"}


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
    """Return what is wrong with the JSON files and the history of a run; what isn't there yet is not wrong.

    At most five problems a file are told.
    """
    from pydantic import ValidationError

    from fmnist.run.contents import FILES

    found = []
    for path in (run.config, run.environment, run.status, run.metrics, run.diagnosis, run.exports_index, run.benchmark):
        try:
            if path.is_file():
                FILES[path.name].model_validate(read_json(path))
        except FmnistError as error:
            found.append(str(error))
        except ValidationError as error:
            found += [f"{path.name}: {_told(one)}" for one in error.errors(include_url=False)[:5]]
    try:
        if run.history.is_file():
            read_history(run.history)
    except FmnistError as error:
        found.append(str(error))
    return found


def _told(error: ErrorDetails) -> str:
    """Return where something is wrong, and what."""
    from fmnist.run.contents import shown

    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])[:80].lstrip(".")
    if error["type"] == "missing":
        return f"{place} is missing"
    if error["type"] == "value_error":  # one of our own checks
        return f"{place} {error['ctx']['error']}".lstrip()
    if kind := _KINDS.get(error["type"]):
        return f"{place} is {shown(error['input'])}, expected {kind}"
    return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}"
