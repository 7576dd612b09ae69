"""Prints tables on stdout, and lines and progress bars on stderr, drawn by rich where there is a terminal.

rich is imported when something is drawn: importing it takes longer than a short `fmnist predict` may.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from fmnist.text import duration, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_REFRESH = 0.1  # seconds between two drawings of a bar
_GAP = 2  # spaces between two columns of a table
_BAR_WIDTH = 18  # of a bar at least, with its percentage and gaps


def say(text: str) -> None:
    """Print a line for the person at the terminal on stderr."""
    print(text, file=sys.stderr, flush=True)


def _console(stream: IO[str]) -> Console:
    """Return where to draw: with control characters on a terminal only, whatever the environment asks for."""
    from rich.console import Console

    width = None if stream.isatty() else sys.maxsize
    return Console(file=stream, force_terminal=stream.isatty(), width=width, highlight=False, markup=False, emoji=False)


def print_table(rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table on stdout: in a pipe a line a row; on a narrow terminal what does not fit goes below.

    The header is the first row. The first `left` columns, and those without a header, lean to the left.
    """
    from rich.cells import cell_len
    from rich.table import Table

    console = _console(sys.stdout)
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
            leans_left = place < left or not columns[place][0]
            table.add_column(columns[place][0], justify="left" if leans_left else "right", no_wrap=len(part) > 1)
        for row in rows[1:]:
            table.add_row(*(row[place] for place in part))
        with console.capture() as drawn:
            console.print(table)
        print("\n" * bool(number) + "\n".join(line.rstrip() for line in drawn.get().splitlines()))


class Bar:
    """A progress bar on stderr with the time left; where stderr is no terminal only the lines of `say` remain.

    `total` and `done` have the work's own unit. It is drawn after `delay` seconds, so that short work draws none.
    """

    def __init__(self, total: float | None = None, *, done: float = 0, text: str = "", delay: float = 0) -> None:
        self._total, self._done, self._text, self._note = total, done, text, ""
        self._next = time.monotonic() + delay if sys.stderr.isatty() else float("inf")
        self._drawn: Progress | None = None  # rich's, once there is something to draw

    def move(
        self, done: float, *, total: float | None = None, text: str | None = None, note: str | None = None
    ) -> None:
        """Put the bar to `done`; what is not given stays as it is."""
        self._done, self._total = done, self._total if total is None else total
        self._text, self._note = self._text if text is None else text, self._note if note is None else note
        if (now := time.monotonic()) >= self._next:
            self._draw()
            self._next = now + _REFRESH

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._drawn is None:
            say(text)
        else:
            self._drawn.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._drawn is not None:
            self._drawn.stop()

    def _draw(self) -> None:
        if self._drawn is None:
            self._drawn = self._start()
        (task,) = self._drawn.tasks
        self._drawn.update(task.id, total=self._total, completed=self._done)
        times = duration(task.elapsed or 0)
        if task.time_remaining is not None:
            times += f", {duration(task.time_remaining)} left"
        width = self._drawn.console.width - len(times) - _BAR_WIDTH
        note = self._note if len(self._text) + len(self._note) < width else ""
        text = shorten(self._text, width - len(note))
        self._drawn.update(task.id, refresh=True, description=text, times=times, note=note, visible=True)

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
