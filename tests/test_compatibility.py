"""Runs, exports and a study that version 0.1.0 wrote, before the code was laid out in rooms: every command opens them.

`support/data/runs-0.1.0.tar.xz` holds them, made on the data of `support.small_data`: `finished` (with exports and
their speeds), `interrupted` (after 20 of 24 steps), `uninterrupted` (the same run, not stopped: its history),
`diverged`, and the study `small`. What can be drawn again was left out.
"""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

import fmnist
from fmnist.run.directory import RunDirectory, read_json

ARCHIVE = Path(__file__).parent / "support" / "data" / "runs-0.1.0.tar.xz"


@pytest.fixture
def runs(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        # Python 3.11.2, Debian's, has no filters yet; the archive is our own.
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return tmp_path


@pytest.fixture
def call(runs, run_cli, tiny_data_dir):
    """Run a command on one of the runs; return what it printed as JSON."""

    def call(command, name, *arguments, data=True):
        where = ["--data-dir", tiny_data_dir] if data else []
        code, out, err = run_cli(command, runs / name, *arguments, *where, "--json")
        assert code == 0, err
        return json.loads(out)

    return call


def test_it_is_evaluated_as_then(runs, call):
    stored = read_json(runs / "finished" / "metrics.json")
    found = call("evaluate", "finished")
    assert found["correct"] == stored["correct"] and found["loss"] == pytest.approx(stored["loss"], rel=1e-4)
    assert found["calibrated"] == pytest.approx(stored["calibrated"], rel=1e-3)


def test_it_is_diagnosed_as_then(runs, call):
    stored = read_json(runs / "finished" / "diagnosis.json")
    assert call("diagnose", "finished", data=False)["verdict"] == stored["verdict"]


@pytest.mark.parametrize(
    "file", ["", "exports/model.tflite", "exports/model-int8.tflite", "exports/model.onnx", "model.keras"]
)
def test_the_run_and_its_exports_answer_as_then(runs, tiny_dataset, file):
    with np.load(runs / "finished" / "predictions.npz") as stored:
        expected = stored["probabilities"]
    model = fmnist.open_model(runs / "finished" / file)
    answers = model.probabilities(tiny_dataset.test_images)
    assert model.class_names == tiny_dataset.class_names or file == "model.keras"
    agreement = (answers.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert agreement > (0.9 if "int8" in file else 0.99)
    if file == "model.keras":  # the others have the temperature in them
        np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_its_report_is_written(runs, run_cli, tiny_data_dir):
    code, _, err = run_cli("report", runs / "finished", "--data-dir", tiny_data_dir)
    assert code == 0, err
    page = (runs / "finished" / "report.html").read_text("utf-8")
    assert "litert-int8" in page and page.count("<svg") > 4


def test_all_are_listed_with_their_states(runs, run_cli):
    code, out, err = run_cli("runs", "--runs-dir", runs, "--json")
    assert code == 0, err
    listed = json.loads(out)
    states = {row["name"]: row["state"] for row in listed["runs"]}
    assert states == {
        "finished": "finished",
        "interrupted": "interrupted",
        "uninterrupted": "finished",
        "diverged": "diverged",
    }
    assert len(listed["studies"]) == 1


def test_the_doctor_finds_nothing_wrong(runs, run_cli):
    code, out, err = run_cli("doctor", runs / "finished")
    assert code == 0, out + err


def test_an_interrupted_run_goes_on_as_it_would_have(runs, run_cli, tiny_data_dir):
    """To the bit on the processor that began it; on another one its kernels may round otherwise."""
    code, _, err = run_cli("train", "--resume", runs / "interrupted", "--train-only", "--data-dir", tiny_data_dir)
    assert code == 0, err
    found, expected = (fmnist.read_history(runs / name / "history.csv") for name in ("interrupted", "uninterrupted"))
    assert len(found) == len(expected) == 3
    for row, other in zip(found, expected, strict=True):
        assert {**row, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-3)


def numbers(table):
    """All numbers in a study's table, from top to bottom."""
    lines = [line for line in table.read_text("utf-8").splitlines() if line.startswith("|")]
    return [float(text) for text in re.findall(r"\d+(?:\.\d+)?", " ".join(lines))]


def test_the_study_is_done_and_gives_its_table_again(runs, run_cli, tiny_data_dir, tmp_path):
    before = numbers(runs / "small" / "table.md")
    study = tmp_path / "small.yaml"
    study.write_text(
        "description: Does dropout help?\npreset: reference\n"
        "settings: {epochs: 3, filters: [4, 8, 8], segment_steps: 4, threads: 1}\n"
        "seeds: 2\nvariants:\n  dropout: {dropout: 0.3}\n"
    )
    code, _, err = run_cli("compare", study, "--runs-dir", runs, "--data-dir", tiny_data_dir)
    assert code == 0, err
    after = numbers(runs / "small" / "table.md")
    # Version 0.1.0 integrated Student's density in 4,000 steps, which is up to 0.1% off.
    assert len(before) > 30 and after == pytest.approx(before, rel=2e-3)


def test_a_model_starts_from_its_weights_and_learns_from_its_answers(runs, tiny_dataset, tmp_path):
    old = RunDirectory(runs / "finished")
    settings = {"epochs": 1, "filters": (4, 8, 8), "limit": 200, "initial_weights": str(old.path)}
    config = fmnist.preset("reference", teacher=str(old.path), **settings)
    run = fmnist.train(config, tiny_dataset, tmp_path / "new", train_only=True)
    assert read_json(run.config)["teacher"]["run"] == "finished"


@pytest.mark.slow
def test_it_is_exported_and_measured(call):
    assert call("export", "finished", "--format", "litert,onnx")["refused"] == []
    assert {row["format"] for row in call("benchmark", "finished", "--seconds", "0.1")["rows"]} >= {"litert", "onnx"}
