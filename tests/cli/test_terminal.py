"""Tables and bars: plain lines in a pipe, whatever the environment says; in parts on a narrow terminal."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from fmnist.cli import terminal

TABLE = [["variant", "first", "second one"], ["baseline", "1.0", "2"]]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (27, "variant   first  second one\nbaseline    1.0           2\n"),
        (26, "                 second\nvariant   first     one\nbaseline    1.0       2\n"),
        (16, "variant   first\nbaseline    1.0\n\n          second\nvariant      one\nbaseline       2\n"),
    ],
)
def test_a_table_is_split_where_the_terminal_is_too_narrow(columns, expected, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    terminal.print_table(TABLE)
    assert plain(stream.getvalue()) == expected


def test_a_pipe_has_a_line_a_row_and_no_control_characters(monkeypatch, capsys):
    for name, value in {"COLUMNS": "16", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    terminal.print_table([*TABLE, ["[bold]长袖衬衫", "x" * 200, ":shoe:"]])
    bar = terminal.Bar(10, text="Files")
    bar.move(3)
    bar.say("a line")
    bar.close()
    out, err = capsys.readouterr()
    assert err == "a line\n" and "\x1b" not in out and len(out.splitlines()) == 3
    assert out.splitlines()[2].split() == ["[bold]长袖衬衫", "x" * 200, ":shoe:"]


def on_a_terminal(code, columns, **environment):
    """What a program writes to a pseudo-terminal of so many columns."""
    ours, theirs = pty.openpty()
    settings = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=settings)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # the end of a pseudo-terminal
        pass
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode()


BAR = """
from fmnist.cli import terminal
terminal._REFRESH = 0
bar = terminal.Bar(20, text="Epoch 7/20, a text that is longer than it should be")
bar.move(5, note="accuracy 91.00% loss 0.241")
bar.say("Epoch 6/20")
bar.move(10)
bar.close()
print("the end")
"""


@pytest.mark.parametrize(("columns", "shown"), [(60, "…  50%"), (80, "…  50%"), (120, "loss 0.241")])
def test_a_bar_fits_its_terminal_and_leaves_nothing_behind(columns, shown):
    drawn = on_a_terminal(BAR, columns)
    frames = [plain(frame).rstrip("\r\n") for frame in re.split(r"\r(?!\n)", drawn)]
    bars = [frame for frame in frames if "50%" in frame]
    assert bars and all(len(frame.splitlines()[0]) <= columns for frame in bars)
    assert shown in bars[-1]
    assert "left" in bars[-1] and "Epoch 6/20" in plain(drawn)
    assert drawn.rstrip().endswith("the end") and drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")


def test_no_colour_where_it_is_not_wanted():
    code = "from fmnist.cli import terminal; terminal.print_table([['a', 'b'], ['c', 'd']])" + BAR
    assert re.search(r"\x1b\[[0-9;]*3[0-9][;m]", on_a_terminal(code, 80))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][;m]", on_a_terminal(code, 80, NO_COLOR="1"))


def test_short_work_draws_no_bar_and_loads_no_rich():
    code = """
import sys
from fmnist.cli import terminal
bar = terminal.Bar(10, text="Files", delay=60)
bar.move(3)
bar.close()
print("rich" in sys.modules)
"""
    assert on_a_terminal(code, 80).strip() == "False"
