"""What commands print: plain lines in a pipe, whatever the environment says; on a terminal nothing is shredded."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
from PIL import Image
from support.study_runs import write_run

from fmnist.cli import benchmark, compare, evaluate, export, main, robustness, terminal, train
from fmnist.cli.progress import ProgressBar
from fmnist.run.directory import read_json
from fmnist.study import Study, plan
from fmnist.study.result import collect
from fmnist.study.words import add_sentences
from fmnist.training.progress import Progress

TABLE = [["variant", "first", "second one"], ["baseline", "1.0", "2"]]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def rendered(monkeypatch):
    """Return what a function prints on a terminal of so many columns, stdout and stderr together."""

    def render(function, columns, colours=False):
        stream = Terminal()
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        function()
        return stream.getvalue() if colours else plain(stream.getvalue())

    return render


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def numbers(text):
    return set(re.findall(r"[−+<>]?\d[\d.,:]*\d%?|\d%?", text))


def epochs(tiny_run):
    """What `fmnist train` shows of a run's epochs, and at its end."""
    watcher = ProgressBar()
    watcher.start(Progress(epochs=20), 8)
    watcher.segment(Progress(epochs=20, step=4, sums={"loss": 51.2, "accuracy": 55.5}, images=64))
    scores = {"train_accuracy": 0.9134, "train_loss": 0.3469, "val_accuracy": 0.8980, "val_loss": 0.3880}
    watcher.epoch({"epoch": 12, "seconds": 124.1, **scores})
    watcher.close()
    train._print_result(tiny_run, ["latest"], as_json=False)


def measured_exports():
    facts = {"accuracy": 0.9171, "agreement": 0.9987, "bytes": 861_912}
    files = [
        facts | {"format": name, "file": file, "passed": passed, "largest_difference": 2.7e-6, "calibrated": True}
        for name, file, passed in (("litert", "model.tflite", True), ("onnx-int8", "model-int8.onnx", False))
    ]
    for row in files:
        row |= {"temperature": 0.638, "keras_accuracy": 0.9171, "num_images": 10_000}
    return {"files": files, "written": ["litert", "onnx-int8"]}


def measured_speeds():
    facts = {"accuracy": 0.9171, "agreement": 1.0, "bytes": 861_912, "images_per_second": 13_344.4}
    facts |= {"start_seconds": 34.84, "latency_median_ms": 9.06, "latency_p99_ms": 132.58, "peak_bytes": 684e6}
    rows = [facts | {"format": name} for name in ("model.keras", "litert-int8", "onnx")]
    return {"rows": rows, "num_images": 10_000, "environment": {"cores": 2, "processor": "AMD EPYC 9B14 96-Core"}}


def measured_robustness():
    """Of 16 corruptions, one with the longest name, as many digits as there can be."""
    scores = {"accuracy": [1.0] * 5, "ece": [0.9123] * 5, "unfamiliar": [1.0] * 5}
    row = {"traits": ["Ankle boot", "medium bright", "medium large"], "accuracy": 0.613, "num_images": 1_200}
    return {
        "accuracy": 0.6123,
        "clean": {"accuracy": 0.9176, "ece": 0.0093, "unfamiliar": None},
        "kinds": [{"name": "gaussian-noise", **scores}, {"name": "fog", **scores}],
        "num_images": 10_000,
        "slices": {"accuracy": 0.93, "num_images": 10_000, "failing": [row]},
    }


def compared(folder, dataset):
    """The result of a study of three variants, put together without training."""
    variants = {"batch norm + dropout + flip": {"dropout": 0.4}, "L2 0.0005": {"l2": 0.0005}}
    study = Study("small", "Which of them helps?", settings={"epochs": 8}, variants=variants)
    rng = np.random.default_rng(0)
    for run, config in plan(study, dataset, folder)[0]:
        write_run(run, config, rng.random(2000) < 0.85)
    return add_sentences(collect(study, folder))


@pytest.mark.parametrize("columns", [80, 60])
def test_what_commands_print_fits_the_terminal(
    columns, rendered, tiny_run, tiny_dataset, tiny_data_dir, tmp_path, monkeypatch
):
    """No line is longer than the terminal, and every number is whole: it stands on a wide terminal too."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tiny_dataset.test_images[0, ..., 0]).save("a-picture-with-a-long-name-as-cameras-give-them.png")
    small = compared(tmp_path / "small", tiny_dataset)
    there = ["--runs-dir", str(tiny_run.path.parent)]
    data = ["--data-dir", str(tiny_data_dir)]
    screens = {
        "train": lambda: epochs(tiny_run),
        "compare": lambda: compare._print_result(small),
        "export": lambda: export._print(tmp_path / "exports", measured_exports()),
        "benchmark": lambda: benchmark._print(measured_speeds()),
        "robustness": lambda: robustness._print(measured_robustness()),
        "evaluate": lambda: evaluate._print(read_json(tiny_run.metrics)),
        "data": lambda: main(["data", "--no-samples", *data]),
        "runs": lambda: main(["runs", *there]),
        "predict": lambda: main(["predict", str(tiny_run.model), ".", "--top", "5"]),
        "diagnose": lambda: main(["diagnose", "tiny", *there]),
    }
    for name, screen in screens.items():
        wide, narrow = rendered(screen, 1000), rendered(screen, columns)
        # Only what must not be broken may be longer: a path, or a command that is there to be copied.
        long = [line for line in re.split(r"[\r\n]+", narrow) if len(line) > columns]
        assert not [line for line in long if " " in line.strip() and not line.lstrip().startswith("fmnist ")], name
        assert wide.strip() and numbers(narrow) <= numbers(wide), (name, numbers(narrow) - numbers(wide))


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


def test_the_width_is_that_of_the_stream_where_the_other_one_is_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 53, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        assert terminal.width(stream) == 53
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert terminal.width(stream) == 80
    os.close(ours)
    assert terminal.width(io.StringIO()) == sys.maxsize


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


ROWS = """
from fmnist.cli import terminal
terminal._REFRESH = 0
bar = terminal.Bar(4, text="1 of 4 runs done")
rows = {"a": ("flip-and-a-name-that-is-longer-than-a-terminal-" * 2, 0.25), "b": ("baseline-seed1, epoch 6/20", 0.3)}
bar.move(1.5, rows=rows)
bar.move(1.6, rows={"b": rows["b"]})
bar.say("Run 2/4")
bar.close()
print("the end")
"""


@pytest.mark.parametrize("columns", [60, 80])
def test_parts_that_go_on_at_once_have_rows_below_the_bar(columns):
    drawn = on_a_terminal(ROWS, columns)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", plain(drawn)) if line.strip()]
    assert all(len(line) <= columns for line in lines)
    last = len(lines) - 1 - [line.startswith("1 of 4 runs done") for line in lines[::-1]].index(True)
    # How much of the text fits depends on how wide the times are, and so on how busy the machine is.
    assert lines[last + 1].startswith("  baseline-seed1, ep") and "30%" in lines[last + 1]
    assert any(line.startswith("  flip-and-a-name") and "25%" in line and "…" in line for line in lines)
    assert not any("flip-and" in line for line in lines[last:]) and lines[-1] == "the end"


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


def test_the_bar_names_the_epoch_that_runs_and_says_what_takes_long(rendered):
    def begin():
        watcher = ProgressBar()
        watcher.start(Progress(epochs=3), 8)
        watcher.epoch({"epoch": 1, "seconds": 2.0})
        watcher.close()

    drawn = rendered(begin, 100)
    assert "Loading the libraries" in drawn and re.search("Epoch 1/3 .*compiling the first steps", drawn)
    assert re.search(r"Epoch 2/3 +33%", drawn)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("try a smaller `learning_rate`", "try a smaller --learning-rate"),
        ("`limit=5` and `validation_fraction=0.2` leave 4", "--limit 5 and --validation-fraction 0.2 leave 4"),
        ("take `flip_average=False`, or `optimizer='adamw'`", "take --no-flip-average, or --optimizer adamw"),
        ("replace it with `overwrite=True`", "replace it with --overwrite"),
        ("`fmnist train --resume runs/a` continues it", "`fmnist train --resume runs/a` continues it"),
    ],
)
def test_the_command_line_shows_settings_as_flags(message, shown):
    assert terminal.as_flags(message) == shown


def test_errors_are_red_on_a_terminal_that_has_colours(rendered, monkeypatch):
    assert rendered(lambda: main(["trian"]), 80, colours=True).startswith("\x1b[31mError: there is no command 'trian'")
    monkeypatch.setenv("NO_COLOR", "1")
    assert rendered(lambda: main(["trian"]), 80, colours=True).startswith("Error: there is no command 'trian'")
