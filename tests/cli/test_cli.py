"""The command line as a new user meets it: help, JSON, exit codes, one message for each mistake."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from fmnist.cli import COMMANDS, train
from fmnist.config import command_flags, leaf_fields, preset, restore
from fmnist.run.directory import RunDirectory, read_json, write_json

QUICK = ["--preset", "reference", "--filters", "4,8,8", "--epochs", "1", "--batch-size", "32"]


def test_help_names_every_command(run_cli):
    code, out, _ = run_cli("--help")
    assert code == 0
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_ends_in_two_examples(name, run_cli):
    code, out, _ = run_cli(name, "--help")
    examples = out.rstrip().split("Examples:\n")[-1].splitlines()
    assert code == 0
    assert len(examples) == 2 and all(line.strip().startswith(f"fmnist {name}") for line in examples)
    assert "--json" in out
    assert not re.search(r"\.\.\.$", out.partition("\n")[2], re.MULTILINE), "a description that is cut off"


def test_each_setting_is_a_flag(run_cli):
    _, out, _ = run_cli("train", "--help-all")
    assert all(f"--{name.replace('_', '-')}" in out for name in leaf_fields())


def test_help_lists_the_common_settings_in_groups_with_the_values_of_the_preset(run_cli):
    code, out, _ = run_cli("train", "--help")
    groups = re.findall(r"^([A-Z]\w+):$", out, re.MULTILINE)
    settings = ["Data", "Network", "Recipe", "Transfer", "Augmentation", "Distillation", "Engine"]
    assert code == 0 and groups == ["Options", "Presets", *settings]
    shown = {name for name in leaf_fields() if f"--{name.replace('_', '-')} " in out}
    assert shown == {name for name, (_, spec) in leaf_fields().items() if spec.metadata["common"]}
    assert 8 < len(shown) < len(leaf_fields()) / 2
    _, out, _ = run_cli("train", "--preset", "best", "--help-all")
    text = " ".join(out.split())
    for flag, value in {"epochs": 28, "filters": "18,32,96,192", "flip": "flip", "separable": "no-separable"}.items():
        assert re.search(rf" --{flag} [^\[\]]*(\[default: .*?\])", text)[1] == f"[default: {value}]", flag
    _, out, _ = run_cli("compare", "--help-all")
    assert "Augmentation:" in out and "Presets:" not in out and "[default: no-flip]" not in out


@pytest.mark.parametrize("words", [["--name", "tiny"], ["--resume", "tiny"]])
def test_a_run_that_is_finished_is_told_before_anything_slow_is_loaded(words, tiny_run, tiny_data_dir):
    words = ["train", *words, "--runs-dir", str(tiny_run.path.parent), "--data-dir", str(tiny_data_dir)]
    code = f"import sys, fmnist.cli as c; code = c.main({words}); sys.exit(code + 40 * ('keras' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "finished" in done.stderr, done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys, fmnist.cli as c; c.main(['--help']); sys.exit(any(m in sys.modules for m in ('keras', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "--preset", "referense"], "did you mean 'reference'"),
        (["train", "--epohcs", "3"], "--epochs"),
        (["train", "--epochs", "0"], "epochs: got 0, expected 1 to"),
        (["train", "--epochs", "two"], "'two' is not a valid integer"),
        (["train", "--filters", "32;64"], "expected whole numbers with commas between them"),
        (["train", "--dropout", "0.1;0.2"], "expected numbers with commas between them, such as 0.1,0.2,0.3"),
        (["train", "--dropout", "0.1,0.2"], "expected one for all, or 3 for the blocks and one for the hidden layer"),
        (["train", "--optimizer", "adm"], "'adm' is not one of 'adam'"),
        (["train", "--name", "a/b"], "expected a plain name"),
        (["train", "--resume", "latest", "--epochs", "3"], "leave out the other settings"),
        (["train", "--target", "94", "--preset", "fast"], "--target chooses a preset for Fashion-MNIST"),
        (["train", "--target", "97"], "got 97%, expected at most 95.5"),
        (["train", "--resume", "nowhere"], "neither a run directory nor the name of a run"),
        (["train", "--data-dir", "nowhere"], "nowhere"),
        (["evaluate", "latest"], "there is no run in"),
        (["evaluate"], "Missing argument 'RUN'"),
        (["report", "nowhere"], "neither a run directory"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(arguments, expected, run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(*arguments)
    assert code == 2 and out == ""
    assert expected in err and err.startswith("Error: ")
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_train_evaluate_report_and_runs_speak_json(run_cli, tmp_path, tiny_data_dir):
    where = ["--runs-dir", tmp_path, "--json"]
    code, out, _ = run_cli("train", *QUICK, "--name", "first", "--data-dir", tiny_data_dir, *where)
    trained = json.loads(out)
    assert code == 0 and trained["state"] == "finished"
    assert trained["last_epoch"]["epoch"] == trained["model_epoch"] == 1
    # Neither is told again where the data lies: the run knows.
    code, out, _ = run_cli("evaluate", "first", *where)
    assert code == 0 and json.loads(out)["accuracy"] == trained["test"]["accuracy"]
    code, out, err = run_cli("report", "latest", *where)
    assert err == f"Run       {tmp_path / 'first'}\n"
    assert code == 0 and json.loads(out)["report"] == str(tmp_path / "first" / "report.html")
    _, out, _ = run_cli("diagnose", "first", *where)
    commands = [shlex.split(offer["command"]) for offer in json.loads(out)["advice"]]
    flags = ["--data-dir", str(tiny_data_dir), "--runs-dir", str(tmp_path)]
    assert commands and all(command[-4:] == flags for command in commands)
    code, out, _ = run_cli("runs", *where)
    (row,) = json.loads(out)["runs"]
    assert code == 0 and (row["name"], row["epoch"], row["accuracy"]) == ("first", 1, trained["test"]["accuracy"])
    write_json(tmp_path / "first" / "status.json", {"state": "finished", "epoch": 3, "epochs": 3})
    (row,) = json.loads(run_cli("runs", *where)[1])["runs"]
    assert (row["epoch"], row["epochs"]) == (3, 3)  # a time budget decides the epochs while it trains


def test_train_ends_in_the_verdict_and_what_to_do_next(run_cli, tmp_path, tiny_data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    words = ["train", *QUICK, "--data-dir", tiny_data_dir]
    code, out, err = run_cli(*words, "--name", "first", "--open")
    assert code == 0, err
    report = Path("runs", "first", "report.html")
    assert opened == [str(report)]
    headline = read_json(Path("runs", "first", "diagnosis.json"))["sentences"][0]
    assert headline in " ".join(out.split()) and out.startswith("Verdict        Too short to tell: one epoch")
    assert re.search(r"^Test accuracy  \d+\.\d\d% of 200 images", out, re.MULTILINE)
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["Report", str(report)],
        ["Next", "fmnist", "diagnose", "latest"],
        ["fmnist", "predict", "latest", "photo.jpg"],
    ]
    code, out, _ = run_cli(*words, "--runs-dir", "my runs", "--name", "second", "--json")
    told = json.loads(out)["diagnosis"]
    assert (code, told) == (0, {"verdict": "too short to tell", "headline": headline})
    code, out, _ = run_cli(*words, "--runs-dir", "my runs", "--train-only")
    assert code == 0 and "Verdict" not in out
    assert "fmnist predict latest photo.jpg --runs-dir 'my runs'\n" in out
    code, out, err = run_cli(*words, "--name", "third", "--train-only", "--open")
    assert (code, out, Path("runs", "third").exists()) == (2, "", False) and "--open shows the report" in err


def test_every_remedy_is_a_flag(run_cli, tmp_path, tiny_data_dir):
    flags = "--dropout 0.1,0.1,0.1,0.5 --batch-normalization --l2 1e-4 --activation gelu --rotation 10 --zoom 0.1"
    where = ["--runs-dir", tmp_path, "--name", "first", "--data-dir", tiny_data_dir, "--train-only"]
    code, _, err = run_cli("train", *QUICK, *flags.split(), "--erase", "0.3", "--early-stopping", "1", *where)
    assert code == 0, err
    settings = restore(read_json(tmp_path / "first" / "config.json"))
    assert settings.model.dropout == (0.1, 0.1, 0.1, 0.5) and settings.augmentation.rotation == 10
    command = " ".join(word for flag in command_flags(settings) for word in flag)
    assert "--activation gelu --batch-normalization --dropout 0.1,0.1,0.1,0.5 --l2 0.0001" in command
    assert "the model has the weights of epoch 1, the best by validation loss" in err


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"time_budget": 600.0},
        {"time_budget": 20.0},
        {"time_budget": 600.0, "flip": False},
        {"time_budget": 600.0, "family": "fast", "shift": 0},
        {"time_budget": 60.0, "filters": (18, 64)},
        {"epochs": 3, "dropout": (0.1, 0.1, 0.2, 0.3), "batch_normalization": False},
    ],
)
def test_the_flags_of_a_configuration_give_it_again(settings):
    """As the report and the diagnosis print them; a time budget chooses settings that flags may take back."""
    config = preset(**settings)
    words = [word for flag in command_flags(config) for word in flag]
    given = train.command.make_context("train", words).params
    known = {name: value for name, value in given.items() if name in leaf_fields() and value is not None}
    assert preset(given["preset_name"], **known) == config


def test_results_for_people(run_cli, tiny_run, tiny_data_dir):
    code, out, _ = run_cli("evaluate", tiny_run.path, "--data-dir", tiny_data_dir)
    assert code == 0
    assert re.search(r"Test accuracy +\d+\.\d\d% \(\d+ of 200\)", out)
    assert "all classes" in out
    code, out, _ = run_cli("runs", "--runs-dir", tiny_run.path.parent)
    assert code == 0 and re.search(r"^tiny +reference +finished +2/2", out, re.MULTILINE)


def test_a_run_is_named_after_preset_date_and_number(run_cli, tmp_path, tiny_data_dir):
    for number in (1, 2):
        code, out, err = run_cli("train", *QUICK, "--data-dir", tiny_data_dir, "--runs-dir", tmp_path, "--train-only")
        assert code == 0 and re.search(rf"reference-\d{{4}}-\d\d-\d\d-{number}/model\.keras", out)
    assert "Network   reference: " in err and re.search(r"Epoch 1/1 +\d+\.\d s   train \d", err)


def test_without_a_preset_it_says_which_one_fits_the_data(run_cli, tmp_path, tiny_data_dir):
    words = ["--data-dir", tiny_data_dir, "--runs-dir", tmp_path, "--name", "own", "--train-only"]
    code, _, err = run_cli("train", *words, "--epochs", "1", "--limit", "100")
    assert code == 0 and "Preset    standard, 1 epoch, for 600 images of 28×28 pixels, which " in err
    assert "; --preset transfer chooses otherwise" in err
    config = read_json(tmp_path / "own" / "config.json")
    assert (config["preset"], config["training"]["epochs"]) == ("standard", 1)


def test_folds_are_trained_in_turn_and_not_again(run_cli, tmp_path, tiny_data_dir):
    words = ["train", *QUICK, "--data-dir", tiny_data_dir, "--runs-dir", tmp_path, "--limit", "60", "--folds", "2"]
    code, out, err = run_cli(*words)
    assert code == 0 and re.search(r"^fold1 +30 +\d", out, re.MULTILINE), err
    assert re.search(r"^Mean +\d.*Student", out, re.MULTILINE) and re.search(
        r"^All images .*of 60 images", out, re.MULTILINE
    )
    code, out, err = run_cli(*words, "--json")
    assert code == 0 and "Done      2 of 2 runs" in err
    assert json.loads(out) == read_json(tmp_path / "reference-2-folds" / "study.json")
    code, _, err = run_cli(*words, "--open")
    assert code == 2 and "--folds trains several runs" in err


def test_a_damaged_run_hides_no_other(run_cli, tmp_path):
    for name, content in (("bad", {}), ("good", {"preset": "fast", "training": {"epochs": 4}})):
        write_json(RunDirectory(tmp_path / name).config, content)
    code, out, _ = run_cli("runs", "--runs-dir", tmp_path)
    assert code == 0 and re.search(r"bad +\? +damaged", out) and re.search(r"good +fast +not started +0/4", out)


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_work(number, expected, tmp_path, tiny_data_dir):
    command = [sys.executable, "-m", "fmnist", "train", *QUICK, "--epochs", "100000", "--segment-steps", "4"]
    where = ["--data-dir", str(tiny_data_dir), "--runs-dir", str(tmp_path), "--name", "long"]
    process = subprocess.Popen([*command, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    history = tmp_path / "long" / "history.csv"
    deadline = time.monotonic() + 120
    while not history.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == expected, err
    assert out == "" and f"Saved; continue with: fmnist train --resume {tmp_path / 'long'}" in err
    run = RunDirectory(tmp_path / "long")
    assert run.state() == "interrupted" and read_json(run.status)["step"] > 0
    assert len(list(run.checkpoints.iterdir())) == 1


def test_quiet_says_nothing_but_errors_and_verbose_shows_the_layers(run_cli, tmp_path, tiny_data_dir):
    where = ["--data-dir", tiny_data_dir, "--runs-dir", tmp_path]
    code, out, err = run_cli("train", *QUICK, "--name", "first", "--train-only", "--quiet", *where)
    assert (code, err) == (0, "") and "model.keras" in out
    code, _, err = run_cli("train", *QUICK, "--name", "first", "--train-only", *where, "-q")
    assert code == 2 and re.fullmatch(r"Error: .* holds a run already .* or replace it with --overwrite\n", err)
    code, _, err = run_cli("train", *QUICK, "--name", "second", "--train-only", "--verbose", *where)
    assert code == 0 and "Total params" in err and "Conv2D" in err and "Network   reference: " in err


def test_a_mistake_and_where_to_look_are_one_line(run_cli):
    for words in (["evaluate"], ["train", "--epohcs", "3"], ["train", "--epochs", "0"]):
        code, _, err = run_cli(*words)
        assert code == 2 and len(err.splitlines()) == 1, err


def test_what_the_system_does_not_allow_is_told(run_cli, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/closed")

    monkeypatch.setattr("fmnist.cli.runs.list_runs", refuse)
    assert run_cli("runs") == (2, "", "Error: Permission denied: /closed\n")


def test_an_unexpected_error_is_one_message_unless_debugging(run_cli, monkeypatch):
    import fmnist.cli.runs

    def broken(_):
        raise KeyError("oops")

    monkeypatch.setattr(fmnist.cli.runs, "list_runs", broken)
    code, out, err = run_cli("runs")
    assert code == 1 and out == "" and err.startswith("Error: unexpected KeyError") and "Traceback" not in err
    code, _, err = run_cli("runs", "--debug")
    assert code == 1 and "Traceback" in err
