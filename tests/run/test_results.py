"""What is read of a run's results: what is missing, what is damaged, what belongs together."""

import numpy as np
import pytest

from fmnist.errors import InputError
from fmnist.run import results
from fmnist.run.directory import RunDirectory, write_json
from fmnist.run.history import write_history


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run")


def save(run, **arrays):
    run.path.mkdir(exist_ok=True)
    np.savez(run.predictions, **arrays)


def export(run, *names):
    run.exports.mkdir(parents=True, exist_ok=True)
    for name in names:
        (run.exports / name).touch()
    rows = [{"format": name, "file": name, "bytes": 1} for name in ("a", "b")]
    write_json(run.exports_index, {"model_sha256": "1", "files": rows})


def test_what_is_not_there_yet_is_empty(run):
    assert results.metrics(run) == results.diagnosis(run) == results.exports(run) == results.environment(run) == {}
    assert results.exported_files(run) == [] and results.temperature(run) is None
    with pytest.raises(InputError, match=r"has no predictions.npz; `fmnist evaluate .*run` makes it"):
        results.predictions(run)


def test_what_is_there_is_given_back(run):
    write_json(run.metrics, {"accuracy": 0.5})
    write_json(run.diagnosis, {"verdict": "good fit"})
    write_json(run.calibration, {"temperature": 1.5})
    probabilities, labels = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32), np.array([1, 0], np.uint8)
    save(run, probabilities=probabilities, labels=labels)
    assert results.metrics(run) == {"accuracy": 0.5} and results.diagnosis(run) == {"verdict": "good fit"}
    assert results.temperature(run) == 1.5
    found = results.predictions(run)
    np.testing.assert_array_equal(found.probabilities, probabilities)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize(
    ("name", "read", "content", "command"),
    [
        ("metrics.json", results.metrics, "{", "evaluate"),
        ("diagnosis.json", results.diagnosis, "[1]", "diagnose"),
        ("calibration.json", results.temperature, "{", "evaluate"),
        ("calibration.json", results.temperature, '{"temperature": null}', "evaluate"),
        ("calibration.json", results.temperature, '{"ece": 1}', "evaluate"),
        ("calibration.json", results.temperature, '{"temperature": 0}', "evaluate"),
        ("calibration.json", results.temperature, '{"temperature": NaN}', "evaluate"),
        ("exports/exports.json", results.exports, "{", "export"),
        ("exports/exports.json", results.exports, '{"files": 3}', "export"),
        ("exports/exports.json", results.exports, '{"files": ["a"]}', "export"),
        ("exports/exports.json", results.exports, '{"files": [{"file": 3}]}', "export"),
        ("exports/exports.json", results.exported_files, '{"model_sha256": "1"}', "export"),
    ],
)
def test_of_what_is_damaged_the_command_that_makes_it_is_named(name, read, content, command, run):
    run.exports.mkdir(parents=True)
    (run.path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}.*; remove the file, and `fmnist {command} .*run` makes it again"):
        read(run)


@pytest.mark.parametrize(
    "arrays",
    [
        {"probabilities": np.ones((2, 3))},
        {"probabilities": np.ones(3), "labels": np.zeros(3, int)},
        {"probabilities": np.ones((2, 3)), "labels": np.zeros(3, int)},
        {"probabilities": np.ones((2, 3)), "labels": np.zeros(2)},
        {"probabilities": np.ones((2, 3)), "labels": np.array([0, 3])},
        {"probabilities": np.ones((2, 3)), "labels": np.array([-1, 0])},
        {"probabilities": np.ones((0, 3)), "labels": np.zeros(0, int)},
        {"probabilities": np.array([[None]]), "labels": np.zeros(1, int)},
        {"probabilities": np.array([["a", "b"]]), "labels": np.zeros(1, int)},
        {"probabilities": np.ones((2, 3), int), "labels": np.zeros(2, int)},
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(arrays, run):
    save(run, **arrays)
    with pytest.raises(InputError, match=r"predictions.npz cannot be read: .*; `fmnist evaluate .*run` makes it again"):
        results.predictions(run)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_predictions_that_are_no_archive_are_refused(content, run):
    run.path.mkdir()
    run.predictions.write_bytes(content)
    with pytest.raises(InputError, match="`fmnist evaluate .*run` makes it again"):
        results.predictions(run)


def test_predictions_that_unpack_to_far_more_than_their_file_are_refused_unread(run, monkeypatch):
    """15 MB of zeros would unpack to many gigabytes; probabilities do not shrink to a thousandth."""
    run.path.mkdir()
    np.savez_compressed(run.predictions, probabilities=np.zeros((10**6, 10), np.float32), labels=np.zeros(10**6, int))
    assert run.predictions.stat().st_size < 10**5
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match=r"unpacks to 48,000,\d+ bytes, over 20 times its size; `fmnist evaluate"):
        results.predictions(run)


def test_an_exported_file_that_is_gone_is_left_out(run):
    export(run, "b")
    assert [row["file"] for row in results.exports(run)["files"]] == ["b"]


def test_speeds_join_the_files_they_were_measured_with(run):
    export(run, "a", "b")
    rows = [{"format": name, "latency_median_ms": speed} for name, speed in (("model.keras", 3), ("a", 1), ("b", 2))]
    write_json(run.benchmark, {"environment": {"cores": 2}, "rows": rows})
    found = results.exported_files(run)
    assert [row["format"] for row in found] == ["model.keras", "a", "b"]
    assert found[1] == {"format": "a", "file": "a", "bytes": 1, "latency_median_ms": 1, "machine": {"cores": 2}}
    (run.exports / "a").unlink()
    assert [row["format"] for row in results.exported_files(run)] == ["model.keras", "b"]


def test_speeds_of_another_file_than_the_present_are_left_out(run):
    """One that was exported again, or for the first time, after the benchmark: that is older, not missing."""
    export(run, "a", "b", "c")
    files = [{"format": name, "file": name, "sha256": f"new {name}"} for name in ("a", "b", "c")]
    write_json(run.exports_index, {"files": files})
    rows = [
        {"format": name, "sha256": f"{age} {name}", "start_seconds": 1} for name, age in (("a", "new"), ("b", "old"))
    ]
    write_json(run.benchmark, {"environment": {}, "rows": [{"format": "model.keras"}, *rows]})
    keras, a, *rest = results.exported_files(run)
    assert (keras["format"], a["start_seconds"], "older" in a) == ("model.keras", 1, False)
    assert rest == [files[1] | {"older": True}, files[2] | {"older": True}]
    run.benchmark.unlink()
    assert results.exported_files(run) == files


def test_the_models_row_is_that_of_its_epoch_or_the_last(run):
    write_history(run.history, [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)])
    assert results.model_row(run)["epoch"] == 3
    write_json(run.status, {"state": "finished", "model_epoch": 2})
    assert results.model_row(run) == {"epoch": 2, "loss": 0.5}
    write_history(run.history, [])
    with pytest.raises(
        InputError, match=r"history.csv has no epoch; the run is finished; train it with `overwrite=True`"
    ):
        results.model_row(run)


def test_whether_a_run_was_trained_on_this_data():
    known = {"data_sha256": {"images": "1", "labels": "2"}}
    assert results.trained_on(known, {"labels": "2", "images": "1"}) is True
    assert results.trained_on(known, {"images": "1"}) is False
    assert results.trained_on({}, {"images": "1"}) is results.trained_on({"data_sha256": {}}, {"images": "1"}) is None
