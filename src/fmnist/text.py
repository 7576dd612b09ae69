"""Formats what people read: shares, losses, times, sizes, counts, commands; shortens names, makes them fit to show."""

import html
import re
from collections.abc import Sequence

# Characters that move a cursor, end a line or turn the direction of writing, and halves of a character, which stand for
# bytes in file names that are no UTF-8.
_CONTROLS = "\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"


def plain(text: str, keep: str = "") -> str:
    """Return text with its control characters written out, `\\x1b` for escape, but for those to keep.

    Names come from others: of files, classes, runs. Written out, they neither command a terminal nor begin a line.
    """
    return re.sub(f"[{_CONTROLS}]", lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], text)


def number(value: float, digits: int = 0, *, sign: bool = False) -> str:
    """Format a number with `digits` after the point, thousands separators and a true minus; a zero has no sign."""
    told = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if not told.strip("+-0.,"):
        told = told.lstrip("+-")
    return told.replace("-", "\N{MINUS SIGN}")


def percent(share: float, digits: int = 1) -> str:
    """Format a share, 0 to 1, as a percentage; what is not quite nothing or all does not round to 0% or 100%."""
    smallest = 10.0**-digits
    if share > 0 and 100 * share < smallest / 2:
        return f"<{smallest:.{digits}f}%"
    if share < 1 and 100 * share >= 100 - smallest / 2:
        return f">{100 - smallest:.{digits}f}%"
    return f"{number(100 * share, digits)}%"


def loss(value: float) -> str:
    """Format a loss with three decimals, a huge one with none."""
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}" if value < 1e9 else f"{value:.1e}"


def duration(seconds: float) -> str:
    """Format a length of time: `4.3 s`, `75 s`, `12 min`, `2 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def size(count: float) -> str:
    """Format a number of bytes: `862 kB`, `1,655 kB`, from ten million on `18 MB`."""
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e3:,.0f} kB"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: `1 epoch`, `2 epochs`; `nouns` is for those that take no `s`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def some(names: Sequence[str], most: int) -> str:
    """List names, and tell how many are left out beyond the first `most`: `Coat, Bag, Dress and 7 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def command_html(text: str) -> str:
    """Return a command as HTML whose words a style can keep whole: browsers break `--limit` after its dashes."""
    return re.sub(r"\S+", r"<span>\g<0></span>", html.escape(text))


def shorten(name: str, length: int) -> str:
    """Return a name, its end replaced by an ellipsis where it is longer than `length` characters."""
    return name if len(name) <= length else name[: max(0, length - 1)].rstrip() + "…"
