"""`fmnist predict`: text, JSON, CSV and the sheet; what cannot be read; no TensorFlow for exported files."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support.onnx_models import onnx_model

import fmnist
from fmnist.data.idx import write_idx
from fmnist.evaluation import novelty
from fmnist.predictor.predictor import UNTOLD, Predictor

NAMES = ("dark", "middling, at most", "light")


def compute(batch):
    """Probabilities by the middle level: 0 is surely dark, 255 surely light."""
    middle = np.median(batch.reshape(len(batch), -1), axis=1) / 255
    return np.stack([(1 - middle) ** 2, 2 * middle * (1 - middle), middle**2], axis=1).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures of the model's size, with two pixels of other levels, and the model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "fmnist.predictor.opening.open_model", lambda model, runs: Predictor(compute, "onnx", NAMES, (8, 6, 1))
    )
    for name, level in (("a.png", 0), ("b.png", 255), ("c.png", 51)):
        level_and_two(level).save(tmp_path / name)
    return tmp_path


def level_and_two(level):
    picture = Image.new("L", (6, 8), level)
    for place, other in (((1, 1), level - 60), ((4, 6), level + 60)):
        picture.putpixel(place, max(0, min(255, other)))
    return picture


def test_text(folder, run_cli):
    code, out, err = run_cli("predict", "m.onnx", "b.png", "c.png", "--top", "2")
    assert (code, err) == (0, f"{UNTOLD}\n")
    assert out.splitlines() == [
        "b.png   light             100.0%   dark                0.0%",
        "c.png   dark               64.0%   middling, at most  32.0%",
    ]


def test_json(folder, run_cli):
    code, out, err = run_cli("predict", "m.onnx", ".", "--json", "--top", "9")
    result = json.loads(out)
    assert (code, err) == (0, f"{UNTOLD}\n")
    assert [row["image"] for row in result["predictions"]] == ["a.png", "b.png", "c.png"]
    assert result["predictions"][2]["index"] is None and result["unreadable"] == []
    guesses = result["predictions"][2]["top"]
    assert [(guess["class"], guess["label"]) for guess in guesses] == [(NAMES[0], 0), (NAMES[1], 1), (NAMES[2], 2)]
    np.testing.assert_allclose([guess["probability"] for guess in guesses], [0.64, 0.32, 0.04], atol=1e-6)


@pytest.mark.parametrize("source", ["x.npy", "x-idx3-ubyte.gz", "-"])
def test_csv_of_an_array(source, folder, run_cli, monkeypatch):
    images = np.stack([np.full((8, 6), level, np.uint8) for level in (0, 51)])
    np.save(folder / "x.npy", images)
    write_idx(folder / "x-idx3-ubyte.gz", images)
    stdin = io.TextIOWrapper(io.BytesIO((folder / "x.npy").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, _ = run_cli("predict", "m.onnx", source, "a.png", "--csv", "--top", "2")
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 0
    assert rows == [
        ["image", "index", "class_1", "probability_1", "class_2", "probability_2", "doubts"],
        [source, "0", "dark", "1.000000", NAMES[1], "0.000000", ""],
        [source, "1", "dark", "0.640000", NAMES[1], "0.320000", ""],
        ["a.png", "", "dark", "1.000000", NAMES[1], "0.000000", ""],
    ]


def test_what_is_unlike_the_training_pictures(folder, run_cli, monkeypatch):
    rng = np.random.default_rng(0)
    seen = rng.integers(80, 121, (251, 8, 6, 1)).astype(np.uint8)
    known = novelty.fit(seen[:200], np.zeros(200, int), seen[200:250])
    model = Predictor(compute, "onnx", NAMES, (8, 6, 1), novelty=known)
    monkeypatch.setattr("fmnist.predictor.opening.open_model", lambda name, runs: model)
    Image.fromarray(seen[250, ..., 0]).save(folder / "c.png")
    code, out, err = run_cli("predict", "m.onnx", ".", "--top", "1")
    assert code == 0 and [line.split()[0] for line in out.splitlines() if line.endswith("unfamiliar")] == [
        "a.png",
        "b.png",
    ]
    assert err == "2 pictures unlike all that the model was trained on: its answer may mean nothing.\n"
    _, out, _ = run_cli("predict", "m.onnx", ".", "--json")
    rows = json.loads(out)["predictions"]
    assert [row["familiar"] for row in rows] == [False, False, True]
    assert [row["unfamiliarity"] > novelty.THRESHOLD for row in rows] == [True, True, False]
    _, out, _ = run_cli("predict", "m.onnx", ".", "--csv", "--top", "1")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [float(row["unfamiliarity"]) > 1 for row in table] == [True, True, False]


def test_what_the_recipe_doubts_is_told(folder, run_cli):
    two = Image.new("L", (120, 60), 255)
    for left in (10, 70):
        two.paste(40, (left, 10, left + 40, 50))
    two.save(folder / "two.png")
    Image.new("L", (90, 90), 255).save(folder / "white.png")
    code, out, err = run_cli("predict", "m.onnx", "c.png", "two.png", "white.png", "--top", "1")
    assert code == 0 and err == (
        f"{UNTOLD}\n2 pictures with doubts about the cut-out: `--show FILE` draws what the model saw.\n"
    )
    assert [line.split(maxsplit=1)[1].strip() for line in out.splitlines()] == [
        "dark  64.0%",
        "dark 100.0%   several objects",
        "no object found",
    ]
    _, out, _ = run_cli("predict", "m.onnx", "c.png", "two.png", "white.png", "--json")
    rows = json.loads(out)["predictions"]
    assert [row["doubts"] for row in rows] == [[], ["several objects"], ["no object found"]]
    _, out, _ = run_cli("predict", "m.onnx", "two.png", "white.png", "--csv", "--top", "1")
    assert [row["doubts"] for row in csv.DictReader(io.StringIO(out))] == ["several objects", "no object found"]


@pytest.mark.parametrize(("columns", "lines"), [(100, 2), (60, 4), (40, 6)])
def test_on_a_narrow_terminal_no_class_is_broken(columns, lines, folder, run_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: True)
    code, out, _ = run_cli("predict", "m.onnx", "b.png", "c.png")
    assert code == 0 and len(out.splitlines()) == lines and max(map(len, out.splitlines())) <= columns
    assert out.split()[:3] == ["b.png", "light", "100.0%"] and out.count("middling, at most") == 2


def test_a_run_without_exports_says_what_makes_it_start_quickly(folder, run_cli, tiny_run, monkeypatch):
    slow = Predictor(compute, "keras", NAMES, (8, 6, 1))
    monkeypatch.setattr("fmnist.predictor.opening.open_model", lambda model, runs: slow)
    code, _, err = run_cli("predict", "tiny", "a.png", "b.png", "--runs-dir", tiny_run.path.parent)
    assert code == 0
    assert err.startswith(f"Hint      `fmnist export {tiny_run.path}` makes this start in under a second\n")
    assert "Hint" not in run_cli("predict", tiny_run.model, "a.png")[2]
    assert run_cli("predict", "tiny", "a.png", "--runs-dir", tiny_run.path.parent, "--quiet")[2] == ""


def test_many_photos_are_answered_in_their_order(folder, run_cli, monkeypatch):
    monkeypatch.setattr("fmnist.predictor.predictor._TOGETHER", 2)
    code, out, _ = run_cli("predict", "m.onnx", *["a.png", "b.png", "c.png"] * 3, "--top", "1")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["a.png", "dark"],
        ["b.png", "light"],
        ["c.png", "dark"],
    ] * 3


def test_what_the_model_saw(folder, run_cli):
    code, out, err = run_cli("predict", "m.onnx", "b.png", "c.png", "--show", "seen/sheet.png")
    assert code == 0 and len(out.splitlines()) == 2 and err == f"{UNTOLD}\nSeen      seen/sheet.png\n"
    sheet = np.asarray(Image.open(folder / "seen" / "sheet.png").convert("L"))
    assert (sheet == 51).sum() >= 2 * 39 * 19**2  # 19 times as large, as it is and as the model saw it


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 2)])
def test_one_bad_file_among_good_ones(strict, code, folder, run_cli):
    (folder / "b.png").write_text("hello")
    (folder / "d.jpg").touch()
    (folder / "empty").mkdir()
    names = ["empty", "*.gif", ".", "missing.png"]
    result, out, err = run_cli("predict", "m.onnx", *names, *["--strict"] * strict)
    assert result == code and "Traceback" not in err
    problems = ["empty:", "*.gif:", "b.png:", "d.jpg:", "missing.png:"]
    if strict:
        first, *others = err.splitlines()
        assert out == "" and first == "Error: these cannot be read, and --strict wants all:"
        assert [line.split()[0] for line in others] == problems
    else:
        assert [line.split()[0] for line in out.splitlines()] == ["a.png", "c.png"]
        *left_out, last = err.splitlines()
        assert [line.split()[2] for line in left_out] == problems and last == UNTOLD


def test_names_that_no_terminal_shows(folder, run_cli):
    os.rename(b"a.png", b"caf\xe9\n.png")
    code, out, _ = run_cli("predict", "m.onnx", ".", "--top", "1")
    assert code == 0 and out.splitlines()[2].startswith(r"caf\udce9\n.png   dark")
    for form in ("--csv", "--json"):
        assert run_cli("predict", "m.onnx", ".", form)[0] == 0


def test_no_stdin(folder, run_cli, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as after `<&-`
    code, out, err = run_cli("predict", "m.onnx", "-", "a.png", "--top", "1")
    assert (code, out.split()[0]) == (0, "a.png") and "stdin: is empty" in err


def test_json_names_what_could_not_be_read(folder, run_cli):
    (folder / "b.png").write_text("hello")
    code, out, _ = run_cli("predict", "m.onnx", ".", "--json")
    assert code == 0 and [row["image"] for row in json.loads(out)["unreadable"]] == ["b.png"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing.png", "*.gif"], "no picture could be read:\n  *.gif: no file matches the pattern"),
        (["missing.png"], "missing.png: cannot be read"),
        (["empty"], "empty: the folder holds no picture"),
        ([], "Missing argument 'IMAGE...'"),
        (["a.png", "--json", "--csv"], "--json and --csv exclude each other"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(arguments, problem, folder, run_cli):
    (folder / "empty").mkdir()
    code, out, err = run_cli("predict", "m.onnx", *arguments)
    assert (code, out) == (2, "") and f"Error: {problem}" in err


def test_from_the_command_line_without_tensorflow(tmp_path):
    """A whole process, with an ONNX file that it has not seen before, in which TensorFlow cannot be imported."""
    from support.onnx_models import onnx_model

    (tmp_path / "thirds.onnx").write_bytes(onnx_model(facts={"class_names": ["left", "middle", "right"]}))
    image = np.zeros((4, 6), np.uint8)
    image[:, 4:] = 255
    Image.fromarray(image).save(tmp_path / "x.png")
    here = os.path.dirname(os.path.dirname(fmnist.__file__))
    missing = ["tensorflow", "keras", "sklearn", "matplotlib"]
    code = f"import sys; sys.path.insert(0, {here!r}); sys.modules |= dict.fromkeys({missing}); "
    code += "from fmnist.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "predict", "thirds.onnx", "-", "--top", "1"]
    with open(tmp_path / "x.png", "rb") as stdin:
        done = subprocess.run(command, cwd=tmp_path, stdin=stdin, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("-   right  99.9%\n", f"{UNTOLD}\n", 0)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("form", ["--csv", "--json", "--top=1"])
def test_no_row_is_lost_to_an_encoding(encoding, form, tmp_path):
    """Names in other scripts, and names that are no text at all."""
    names = [os.fsencode(tmp_path / "靴.png"), os.fsencode(tmp_path) + b"/\xff.png"]
    for name in names:
        Image.new("L", (6, 4), 9).save(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", name)
    (tmp_path / "m.onnx").write_bytes(onnx_model(facts={"class_names": ["a", "b", "c"]}))
    command = [sys.executable, "-m", "fmnist", "predict", tmp_path / "m.onnx", *names, form]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0 and done.stderr.startswith(UNTOLD.encode()), done.stderr
    assert done.stdout.count(b".png") == 2


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_streams_are_no_error(closed, tmp_path):
    Image.new("L", (6, 4), 9).save(tmp_path / "x.png")
    (tmp_path / "m.onnx").write_bytes(onnx_model())
    command = f"{sys.executable} -m fmnist predict m.onnx x.png missing.png --show seen.png {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr and (tmp_path / "seen.png").is_file()
    assert ("missing.png" in done.stderr) == ("2" not in closed)
