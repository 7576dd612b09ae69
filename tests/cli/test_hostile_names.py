"""Names from others in what commands print: none commands a terminal, begins a line or is a spreadsheet's formula."""

import csv
import io
import os
import re
import shutil
import zipfile

import pytest
from PIL import Image
from support.small_data import pattern_images, write_idx_folder

from fmnist.cli import terminal
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.text import plain

# To the clipboard (OSC 52), another screen, a line of its own, written backwards, a byte that is no UTF-8.
HOSTILE = os.fsdecode(b"a\x1b]52;c;eA==\x07\x1b[2J\nNothing is wrong\r\x9bm\xe2\x80\xae\xff")
CONTROLS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def told(run_cli):
    """Run a command, see that its output holds no control character, and return its lines."""

    def run(*words):
        _, out, err = run_cli(*words)
        assert out + err and not CONTROLS.search(out + err), (words, out + err)
        return (out + err).splitlines()

    return run


def runs_named(name, tiny_run, folder):
    run = RunDirectory(shutil.copytree(tiny_run.path, folder / name))
    (folder / f"study-{name}").mkdir(parents=True)
    write_json(folder / f"study-{name}" / "study.json", {"state": name, "num_runs": 1})
    return run


def test_runs_and_studies(told, tiny_run, tmp_path):
    lines = {}
    for kind, name in (("plain", "a"), ("hostile", HOSTILE)):
        folder = tmp_path / kind
        run = runs_named(name, tiny_run, folder)
        where = ("latest", "--runs-dir", folder)
        status = read_json(run.status)
        lines[kind] = [len(told("runs", *where[1:])), len(told("diagnose", *where)), len(told("doctor", *where))]
        write_json(run.status, status | {"state": name, "message": name})
        told("doctor", *where)
        told("train", "--resume", *where)
        write_json(run.metrics, {name: name})
        lines[kind].append(len(told("runs", *where[1:])))
        told("doctor", *where)
        told("evaluate", *where)
        run.config.write_text("{")
        told("report", *where)
        told("runs", "--runs-dir", run.config)
        told("doctor", f"nowhere{name}", *where[1:])
    assert lines["plain"] == lines["hostile"]


def pictures(folder, name):
    """A picture, and a file that is none, in each of two folders."""
    for part in ("x", "y"):
        (folder / part).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (28, 28), 40 * number).save(folder / part / f"{number}{name}.png")
        (folder / part / f"{name}.png").write_text("none")
        (folder / part / f"{name}.txt").touch()
    return folder


def test_pictures_and_folders(told, tiny_run, tmp_path):
    lines = {}
    for kind, name in (("plain", "a"), ("hostile", HOSTILE)):
        folder = pictures(tmp_path / kind, name)
        predict = ("predict", tiny_run.path, folder)
        lines[kind] = [len(told(*predict)), len(told(*predict, "--json")), len(told(*predict, "--strict"))]
        lines[kind] += [len(told(*predict, "--csv")), len(told("predict", tiny_run.path, folder / "x" / f"{name}.png"))]
        lines[kind].append(
            len(told("data", "import", folder, "--out", tmp_path / f"{kind}-out", "--test-fraction", "0.4"))
        )
        (folder / name).mkdir()
        Image.new("L", (28, 28)).save(folder / name / "0.png")
        told("data", "import", folder, "--out", tmp_path / "never")
        told("predict", tmp_path / f"{name}.onnx", folder)
        told("doctor", folder / "x" / f"{name}.txt")
        with zipfile.ZipFile(tmp_path / f"{kind}.keras", "w") as archive:
            archive.writestr(f"{name.encode(errors='replace').decode()}.py", "")
        lines[kind].append(len(told("predict", tmp_path / f"{kind}.keras", folder)))
        told("doctor", tmp_path / f"{name}.csv")
    assert lines["plain"] == lines["hostile"]


def test_class_names_in_a_file(told, tmp_path):
    data = write_idx_folder(tmp_path / "data", pattern_images(40, seed=1), pattern_images(20, seed=2))
    (data / "classes.txt").write_text("".join(f"{number}\x1b[2J\n" for number in range(10)))
    assert told("data", "--data-dir", data, "--no-samples")[1].startswith(
        "  - the class name '0\\x1b[2J' holds control"
    )


def test_a_formula_in_a_table_is_text(run_cli, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.png", "@SUM(A1).png", "+1.png", "-1.png"]
    for name in (*names, "plain.png"):
        Image.new("L", (28, 28)).save(name)
    _, out, _ = run_cli("predict", tiny_run.path, "--csv", "--", *names, "plain.png")
    assert [row[0] for row in csv.reader(io.StringIO(out))][1:] == [*(f"'{name}" for name in names), "plain.png"]


def test_a_bar_and_a_table(monkeypatch, capsys):
    terminal.print_table([["name", HOSTILE], [HOSTILE, "1"]])
    bar = terminal.Bar(text=HOSTILE)
    bar.say(HOSTILE.replace("\n", ""))
    out, err = capsys.readouterr()
    assert not CONTROLS.search(out + err) and len(out.splitlines()) == 2 and len(err.splitlines()) == 1


def test_what_is_no_control_character_stays():
    name = "長袖 T\u00a0シャツ 👩\u200d🔬 ‎ é\\x1b"
    assert plain(name) == name and plain("a\nb\x1b", keep="\n") == "a\nb\\x1b"
