"""Prints results and tables on stdout, notes and progress bars on stderr, to fit the terminal where there is one.

All text passes `plain` here: no name from a file or from somebody else commands the terminal.

rich draws tables and bars. It is imported when something is drawn: importing it takes longer than a short
`fmnist predict` may.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

import click

from fmnist.text import duration, plain, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_REFRESH = 0.1  # seconds between two drawings of a bar
_GAP = 2  # spaces between two columns of a table
_USUAL_WIDTH = 80  # columns of a terminal that does not tell
_BAR_WIDTH = 18  # of a bar at least, with its percentage and gaps
_INDENT, _OTHER_LINES = 2, 4  # of the rows below a bar; lines of the terminal that they leave free
_TIED = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
QUIET, USUAL, VERBOSE = range(3)
_level = USUAL


def set_level(level: int) -> None:
    """Choose how much is said on stderr from now on: `QUIET` nothing but errors, `VERBOSE` details too."""
    global _level
    _level = level


def say(text: str, colour: str | None = None, *, level: int = USUAL) -> None:
    """Print lines for the person at the terminal on stderr, unless less is wanted than `level`."""
    if _level >= level:
        print(_fitted(text, sys.stderr, colour), file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """Print lines on stderr that only `--verbose` shows."""
    say(text, level=VERBOSE)


def tell(text: str, colour: str | None = None) -> None:
    """Print lines of a result on stdout."""
    print(_fitted(text, sys.stdout, colour), flush=True)


def width(stream: IO[str]) -> int:
    """Return the columns of the terminal that a stream writes to; what is no terminal has no end."""
    if not stream.isatty():
        return sys.maxsize
    if (columns := os.environ.get("COLUMNS", "")).isdecimal():
        return int(columns) or _USUAL_WIDTH
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def as_flags(text: str) -> str:
    """Return a message that names settings as Python does, such as `epochs=5`, with the flags of the command line."""

    def flag(match: re.Match[str]) -> str:
        name, value = match[1].replace("_", "-"), (match[2] or "True").strip("'")
        return f"--no-{name}" if value == "False" else f"--{name}" if value == "True" else f"--{name} {value}"

    return re.sub(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`", flag, text)


def _fitted(text: str, stream: IO[str], colour: str | None = None) -> str:
    """Return lines with flags, broken between words on a terminal, below the words that follow a label; coloured."""
    lines = as_flags(plain(text, keep="\n")).split("\n")
    if stream.isatty():
        lines = [part for line in lines for part in _broken(line, width(stream))]
    paints = colour and stream.isatty() and not os.environ.get("NO_COLOR")
    return "\n".join(click.style(line, fg=colour) if paints else line for line in lines)


def _broken(line: str, columns: int) -> list[str]:
    if re.match(r" *(fmnist|pip|python) ", line):  # a command stays whole, ready to be copied
        return [line]
    label = re.match(r" *(?:- |(?:\S.{0,25}?  +){0,2})", line)
    indent = " " * min(label.end() if label else 0, columns // 2)
    wrap = textwrap.TextWrapper(columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    tied = line.replace(" ± ", _TIED)  # a value and its margin stay together
    return [part.replace(_TIED, " ± ") for part in wrap.wrap(tied)] or [""]


def _console(stream: IO[str]) -> Console:
    """Return where to draw: with control characters on a terminal only, whatever the environment asks for."""
    from rich.console import Console

    columns = None if stream.isatty() else sys.maxsize  # None: what the terminal has at each moment
    return Console(
        file=stream, force_terminal=stream.isatty(), width=columns, highlight=False, markup=False, emoji=False
    )


def csv_cell(name: str) -> str:
    """Return a name for a cell: a spreadsheet takes what begins like a formula for one, unless an apostrophe leads."""
    return f"'{plain(name)}" if name[0:1] in "=+-@" and len(name) > 1 else plain(name)


def print_table(rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table on stdout: in a pipe a line a row; on a narrow terminal what does not fit goes below.

    The header is the first row. The first `left` columns, and those without a header, lean to the left.
    """
    from rich.cells import cell_len
    from rich.table import Table

    console = _console(sys.stdout)
    rows = [[plain(cell) for cell in row] for row in rows]
    columns = list(zip(*rows, strict=True))
    if sum(max(map(cell_len, column)) + _GAP for column in columns) - _GAP > console.width:
        columns = [(header.replace(" ", "\n"), *cells) for header, *cells in columns]
    widths = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    parts = [[0]]
    for place in range(1, len(columns)):
        if len(parts[-1]) > 1 and sum(widths[other] + _GAP for other in parts[-1]) + widths[place] > console.width:
            parts.append([0])
        parts[-1].append(place)
    for number, part in enumerate(parts):
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for place in part:
            words = place < left or not columns[place][0]  # may be broken where all else is too wide; numbers never
            table.add_column(columns[place][0], justify="left" if words else "right", no_wrap=not words)
        for row in rows[1:]:
            table.add_row(*(row[place] for place in part))
        with console.capture() as drawn:
            console.print(table)
        print("\n" * bool(number) + "\n".join(line.rstrip() for line in drawn.get().splitlines()))


class Bar:
    """A progress bar on stderr with the time left; where stderr is no terminal only the lines of `say` remain.

    `total` and `done` have the work's own unit. It is drawn after `delay` seconds, so that short work draws none. Parts
    of the work that go on at the same time have a row each below it.
    """

    def __init__(self, total: float | None = None, *, done: float = 0, text: str = "", delay: float = 0) -> None:
        self._total, self._done, self._text, self._note = total, done, text, ""
        self._next = time.monotonic() + delay if sys.stderr.isatty() and _level > QUIET else float("inf")
        self._drawn: Progress | None = None  # rich's, once there is something to draw
        self._rows: dict[str, tuple[str, float]] = {}
        self._tasks: dict[str, TaskID] = {}  # rich's, of the rows

    def move(
        self,
        done: float,
        *,
        total: float | None = None,
        text: str | None = None,
        note: str | None = None,
        rows: Mapping[str, tuple[str, float]] | None = None,
    ) -> None:
        """Put the bar to `done`; what is not given stays as it is. A new text is drawn at once.

        Rows are, by a key, the text of each part and the share of it that is done, from 0 to 1.
        """
        news = text not in (None, self._text) and self._drawn is not None
        self._done, self._total = done, self._total if total is None else total
        self._text, self._note = self._text if text is None else text, self._note if note is None else note
        self._rows = self._rows if rows is None else dict(rows)
        if (now := time.monotonic()) >= self._next or news:
            self._draw()
            self._next = now + _REFRESH

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._drawn is None:
            say(text)
        else:
            self._drawn.console.print(_fitted(text, sys.stderr), soft_wrap=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._drawn is not None:
            self._drawn.stop()

    def _draw(self) -> None:
        if self._drawn is None:
            self._drawn = self._start()
        task = self._drawn.tasks[0]
        self._drawn.update(task.id, total=self._total, completed=self._done)
        times = "" if self._total is None else duration(task.elapsed or 0)
        if task.time_remaining is not None:
            times += f", {duration(task.time_remaining)} left"
        room = self._drawn.console.width - len(times) - _BAR_WIDTH
        self._draw_rows(self._drawn, room - _INDENT)
        note = self._note if len(self._text) + len(self._note) < room else ""
        text = shorten(plain(self._text), room - len(note))
        self._drawn.update(task.id, refresh=True, description=text, times=times, note=note, visible=True)

    def _draw_rows(self, drawn: Progress, room: int) -> None:
        """Let each part have its row, as many as the terminal has lines for, with columns left for its text."""
        shown = dict(list(self._rows.items())[: max(0, drawn.console.height - _OTHER_LINES)])
        for key in self._tasks.keys() - shown:
            drawn.remove_task(self._tasks.pop(key))
        for key, (text, share) in shown.items():
            if key not in self._tasks:
                self._tasks[key] = drawn.add_task("", total=1.0, times="", note="")
            text = " " * _INDENT + shorten(plain(text), room)
            drawn.update(self._tasks[key], description=text, completed=share)

    def _start(self) -> Progress:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.table import Column

        console = _console(sys.stderr)
        times, note = (TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("times", "note"))
        drawn = Progress(
            TextColumn("{task.description}", markup=False),
            TaskProgressColumn(),
            BarColumn(None, table_column=Column(ratio=1)),
            times,
            note,
            console=console,
            transient=True,
            expand=True,
            auto_refresh=False,  # no thread, which would slow the training down and draw into what a signal prints
            redirect_stdout=False,
            redirect_stderr=False,
            speed_estimate_period=float("inf"),
        )
        drawn.update(drawn.add_task("", total=self._total, times="", note="", visible=False), completed=self._done)
        drawn.start()
        console.show_cursor()  # hidden, it would stay so after a kill
        return drawn
