"""`fmnist doctor`: what is right, what is wrong, and how to mend it."""

import json
import shutil

import numpy as np
import pytest
from support import malformed

from fmnist import doctor, pipeline
from fmnist.errors import InputError
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory, read_json, write_json


@pytest.fixture
def run(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def found(target, state, **where):
    return {check.name: check for check in doctor.examine(str(target), **where) if check.state == state}


def test_a_finished_run_is_in_order(tiny_run, run_cli):
    code, out, err = run_cli("doctor", tiny_run.path)
    assert (code, err) == (0, "") and out.endswith("No problem found\n")
    assert "ok     state                finished with epoch 2 of 2" in out
    assert "ok     model                10 classes, pictures of 28×28 pixels" in out
    assert found(tiny_run.path, "note") == found(tiny_run.path, "wrong") == {}


def test_texts_stand_below_each_other(run_cli, monkeypatch):
    checks = [doctor.Check(name, doctor.OK, "fine") for name in ("Python", "packages [transfer]")]
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: checks)
    _, out, _ = run_cli("doctor")
    assert len({line.index("fine") for line in out.splitlines()[:2]}) == 1


def break_checkpoint(run):
    (checkpoints.complete(run.checkpoints)[0] / "arrays.npz").write_bytes(b"")
    write_json(run.status, read_json(run.status) | {"state": "running"})


def end(run, state, message):
    write_json(run.status, read_json(run.status) | {"state": state, "message": message})


def drop_row(run):
    run.history.write_text("\n".join(run.history.read_text().splitlines()[:-1]) + "\n")


def change_scores(run):
    write_json(run.metrics, read_json(run.metrics) | {"accuracy": 0.123})


@pytest.mark.parametrize(
    ("harm", "name", "text", "mend"),
    [
        (lambda run: run.config.write_text("{"), "files", "config.json is not a JSON file", "--overwrite"),
        (lambda run: write_json(run.metrics, {}), "files", "metrics.json: num_images is missing", "fmnist evaluate"),
        (lambda run: run.predictions.write_bytes(b"PK"), "scores", "cannot be read", "fmnist evaluate"),
        (lambda run: run.model.write_bytes(b"PK"), "model", "no readable Keras file", "; `fmnist train --resume"),
        (lambda run: run.model.unlink(), "model", "has no model.keras", "; `fmnist train --resume"),
        (lambda run: run.history.write_text("x"), "files", "history.csv has the columns x", "; `fmnist train --resume"),
        (break_checkpoint, "checkpoints", "is damaged", "--overwrite"),
        (
            lambda run: end(run, "failed", "the disk is full"),
            "state",
            "failed: the disk",
            "full disk, fmnist train --re",
        ),
        (lambda run: end(run, "diverged", "the loss became nan"), "state", "diverged: the loss", "with --overwrite"),
        (lambda run: end(run, "failed", "the loss became nan"), "state", "diverged: the loss", "with --overwrite"),
        (drop_row, "state", "history.csv has 1 rows", "; `fmnist train --resume"),
        (lambda run: run.status.write_bytes(b""), "files", "status.json is not a JSON", "; `fmnist train --resume"),
        (lambda run: run.first_epoch.write_text("{}"), "files", "segments is missing", "remove the file"),
        (lambda run: write_json(run.calibration, {}), "files", "temperature is missing", "; `fmnist evaluate"),
        (lambda run: write_json(run.calibration, {"temperature": -1}), "files", "number above 0", "; `fmnist evaluate"),
        (lambda run: write_json(run.robustness, {}), "files", "slices is missing", "; `fmnist robustness"),
        (lambda run: write_json(run.familiarity, {}), "files", "familiarity.json: ", "; `fmnist evaluate"),
        (change_scores, "scores", "metrics.json says 0.1230, predictions.npz", "fmnist evaluate"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_with_the_remedy(harm, name, text, mend, run):
    harm(run)
    check = found(run.path, "wrong")[name]
    assert text in check.text and mend in check.mend


def test_what_a_finished_run_lost_is_made_again_with_the_same_bits(run, tiny_dataset):
    """As the advice of the check says: status, history and model come from the last checkpoint."""
    history, (before, _, _) = run.history.read_bytes(), checkpoints.load_latest(run.checkpoints)
    run.status.write_bytes(b"")
    assert "train --resume" in found(run.path, "wrong")["files"].mend
    for path in (run.status, run.history, run.model):
        path.unlink()
        pipeline.resume(run, tiny_dataset, train_only=True)
    after, _, _ = checkpoints.load_latest(run.checkpoints)
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
    assert run.history.read_bytes() == history and found(run.path, "wrong") == {}
    with pytest.raises(InputError, match="is finished; there is nothing to resume"):
        pipeline.resume(run, tiny_dataset, train_only=True)


def test_a_killed_run_and_one_at_work_are_told_apart(run):
    for path in checkpoints.complete(run.checkpoints):
        shutil.rmtree(path)
    write_json(run.status, {"state": "running", "epoch": 1, "epochs": 2, "step": 8})
    (run.path / ".writing-model-x.keras").touch()
    notes = found(run.path, "note")
    assert notes["state"].text == "its process was killed in epoch 1 of 2"
    assert notes["state"].mend == f"fmnist train --resume {run.path}"
    assert "1 half-written" in notes["leftovers"].text and "starts it again" in notes["checkpoints"].mend
    with run.lock():
        assert "a process is writing it now" in found(run.path, "note")["state"].text


def test_exports_that_changed_or_belong_to_another_model(run):
    run.exports.mkdir()
    (run.exports / "model.onnx").write_bytes(b"x")
    row = {"format": "onnx", "file": "model.onnx", "bytes": 1, "sha256": "0", "passed": True}
    write_json(run.exports_index, {"model_sha256": "1", "files": [row]})
    texts = [check.text for check in doctor.examine(str(run.path)) if check.state == "wrong"]
    assert texts == [
        "they were made from another model than model.keras",
        "model.onnx: changed since it was written, or a link",
    ]
    run.model.unlink()
    first, second = (check.text for check in doctor.examine(str(run.path)) if check.state == "wrong")
    assert "has no model.keras" in first and second.startswith("model.onnx: changed since it was written")


@pytest.mark.parametrize(
    ("name", "content", "state", "text"),
    [
        ("history.csv", malformed.HISTORY.encode(), "ok", "a history of 8 epochs"),
        ("history.csv", b"a,b\n1,2\n", "wrong", "no known column"),
        ("mine.yaml", malformed.STUDY.encode(), "ok", "a study of 3 variants and 3 seeds"),
        ("mine.yaml", b"variants: 1", "wrong", "expected 1 to 50 variants"),
        ("train-labels-idx1-ubyte", malformed.LABELS, "ok", "labels, 6"),
        ("train-labels-idx1-ubyte", malformed.LABELS[:-1], "wrong", "too short"),
        ("model.onnx", b"no model", "wrong", "cannot open it"),
        ("model.h5", b"", "wrong", "can carry code"),
    ],
)
def test_files(name, content, state, text, tmp_path, run_cli):
    (tmp_path / name).write_bytes(content)
    code, out, _ = run_cli("doctor", tmp_path / name, "--json")
    (check,) = json.loads(out)["checks"]
    assert (code, check["state"]) == (int(state == "wrong"), state)
    assert text in check["text"] and bool(check["mend"]) == (state == "wrong")


def test_data_folders(tiny_data_dir, tmp_path, run_cli):
    assert found(tiny_data_dir, "ok")["data"].text.startswith("Dataset(600 training and 200 test images")
    code, out, _ = run_cli("doctor", tmp_path)
    assert code == 1 and "WRONG  data" in out and "has 0 sub-folders with pictures; expected one for each class" in out


def test_the_installation(run_cli, tmp_path, tiny_data_dir):
    code, out, _ = run_cli("doctor", "--json", "--data-dir", tiny_data_dir, "--runs-dir", tmp_path / "runs")
    content = json.loads(out)
    states = {check["name"]: check["state"] for check in content["checks"]}
    assert code == 0 and content["ok"], content
    assert {states[name] for name in ("Python", "packages", "disk", "LiteRT", "ONNX Runtime", "engine", "data")} == {
        "ok"
    }
    assert not (tmp_path / "runs").exists()


def test_what_is_wrong_with_an_installation(monkeypatch, tmp_path):
    from fmnist.doctor import installation

    monkeypatch.setattr(installation, "PYTHONS", ((2, 6), (2, 7)))
    monkeypatch.setattr(installation, "ENOUGH_DISK", 2**70)
    monkeypatch.setattr(installation.metadata, "version", lambda name: "0.0.1")
    monkeypatch.setattr(installation, "_runtimes", lambda: [])
    monkeypatch.setattr(installation, "_engine", lambda: [])
    checks = {check.name: check for check in installation.check_installation(tmp_path)}
    assert {check.state for check in checks.values()} == {"wrong"}
    assert "numpy is 0.0.1, needed is >=2.0" in checks["packages"].text
    assert checks["packages [train]"].mend == "pip install --upgrade 'fmnist[train]'"
    assert "MiB free" in checks["disk"].text


def test_damaged_data_in_the_cache(monkeypatch, tmp_path):
    from fmnist.doctor import installation

    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path))
    assert installation.check_data(None).state == "note"
    (tmp_path / "fashion-mnist").mkdir()
    (tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"short")
    check = installation.check_data(None)
    assert check.state == "wrong" and "has 5 bytes, expected 10,008" in check.text and "`fmnist data`" in check.mend


def test_nothing_of_that_name(run_cli, tmp_path):
    code, _, err = run_cli("doctor", "nowhere", "--runs-dir", tmp_path)
    assert code == 2 and "neither a run directory nor the name of a run" in err
