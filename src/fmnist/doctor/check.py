"""Holds the result of one check: what was looked at, how it is, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass

from fmnist.errors import FmnistError

OK, NOTE, WRONG = "ok", "note", "wrong"


@dataclass(frozen=True)
class Check:
    """What was found."""

    name: str  # what was looked at, in a word or two
    state: str  # `ok`; `note` for what is worth knowing and harms nothing; `wrong`
    text: str  # how it is
    mend: str = ""  # what to do about it; empty where there is nothing to do


def attempt(name: str, look: Callable[[], str], mend: str = "") -> Check:
    """Return `ok` with what `look` says, or `wrong` with the error of ours that it raises."""
    try:
        return Check(name, OK, look())
    except FmnistError as error:
        return Check(name, WRONG, str(error), mend)
