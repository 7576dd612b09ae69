"""Hostile model files: each is refused, runs nothing, writes nothing, and the process that opens it lives on."""

import os
import sys

import numpy as np
import pytest
from support import hostile, hostile_keras
from support.onnx_models import SHAPE, endless_onnx

from fmnist.errors import InputError
from fmnist.predictor import process, trial
from fmnist.predictor.keras_file import open_keras
from fmnist.predictor.opening import open_model


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A folder for the files, a module that a file may try to import, and a canary that anything run would leave."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "canary_module.py").write_text(hostile_keras.CANARY_MODULE)
    (tmp_path / "files").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setenv("CANARY", str(tmp_path))
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "files")
    return tmp_path


def expect_refused(stage, name, suffix, content):
    path = stage / "files" / f"model{suffix}"
    path.write_bytes(content)
    before = sorted(stage.rglob("*"))
    with pytest.raises(InputError) as caught:
        open_model(path)
    assert str(path) in str(caught.value), name
    assert sorted(stage.rglob("*")) == before, name
    assert "canary_module" not in sys.modules, name


def test_the_unharmed_file_opens(stage):
    (stage / "files" / "model.keras").write_bytes(hostile_keras.keras_file())
    model = open_model(stage / "files" / "model.keras")
    assert model.probabilities(np.zeros((2, *hostile_keras.SHAPE), np.uint8)).shape == (2, hostile_keras.CLASSES)


def test_the_canary_sings(stage):
    """What the files would run does leave its mark."""
    import pickle

    pickle.loads(pickle.dumps(hostile_keras.Pickled()))
    assert (stage / "canary").exists()
    (stage / "canary").unlink()
    __import__("canary_module")
    assert (stage / "canary").exists()
    del sys.modules["canary_module"]


def test_keras_files(stage):
    files = list(hostile_keras.keras_files(hostile_keras.keras_file()))
    assert len(files) >= 30
    for name, content in files:
        expect_refused(stage, name, ".keras", content)


def test_weights_that_lie_deep_are_refused_before_all_of_them_are_looked_at(stage):
    files = dict(hostile_keras.keras_files(hostile_keras.keras_file()))
    path = stage / "files" / "model.keras"
    path.write_bytes(files["weights behind thousands of groups"])
    with pytest.raises(InputError, match="its weights lie more than 100 groups deep"):
        open_keras(path)


def test_formats_that_are_never_opened(stage):
    for name, suffix, content in hostile.other_formats():
        expect_refused(stage, name, suffix, content)


@pytest.mark.slow
def test_onnx_files(stage):
    for name, content in hostile.onnx_files(stage / "weights.bin"):
        expect_refused(stage, name, ".onnx", content)


@pytest.mark.slow
def test_litert_files(stage):
    for name, content in hostile.litert_files():
        expect_refused(stage, name, ".tflite", content)


def test_weights_in_other_files_are_refused_before_a_runtime_sees_them(stage, monkeypatch):
    """In this process too: whoever passed the trial may have other files beside it by now."""
    from fmnist.predictor.onnx import open_onnx

    name, content = next(hostile.onnx_files(stage / "weights.bin"))
    monkeypatch.setitem(sys.modules, "onnxruntime.InferenceSession", None)
    with pytest.raises(InputError, match="has weights in other files"):
        open_onnx(content, name)


def test_what_passed_is_tried_once_and_an_index_beside_it_is_not_believed(stage, monkeypatch):
    monkeypatch.setattr(process, "_START", """print('{"values": {}, "arrays": []}')""")
    trial.try_model(b"passes", ".onnx", "x")
    (stage / "files" / "exports.json").write_text('{"files": [{"sha256": "%s"}]}' % ("0" * 64))
    monkeypatch.setattr(process, "_START", "import sys; sys.exit(1)")
    trial.try_model(b"passes", ".onnx", "x")
    with pytest.raises(InputError, match="the process was ended"):
        trial.try_model(b"other", ".onnx", "x")
    assert len(os.listdir(trial.tried_folder())) == 1


def test_a_tag_of_more_than_32_bits_is_refused(stage):
    """A runtime that drops the upper bits would read a graph where we read nothing."""
    from fmnist.predictor.onnx import _has_outside_data

    files = dict(hostile.onnx_files(stage / "weights.bin"))
    with pytest.raises(ValueError, match="32 bits"):
        _has_outside_data(memoryview(files["weights elsewhere, behind a tag of more than 32 bits"]), "model")


@pytest.mark.parametrize("made", [lambda path: path.symlink_to("/dev/zero"), os.mkfifo], ids=["device", "pipe"])
def test_what_has_no_end_is_no_keras_file(stage, made):
    path = stage / "files" / "model.keras"
    made(path)
    with pytest.raises(InputError, match=r"model.keras"):
        open_keras(path)


def test_a_model_that_does_not_end_for_bright_pictures_is_refused(stage, monkeypatch):
    monkeypatch.setattr(trial, "BOUNDS", process.Bounds(memory=4 * 2**30, seconds=3))
    path = stage / "files" / "model.onnx"
    path.write_bytes(endless_onnx(255))
    # Whichever is over first: with two threads that is the processor's time.
    ending = r"(took longer than 3 seconds|\(SIGXCPU, as it computed for too long\)); it is damaged or hostile"
    with pytest.raises(InputError, match=ending):
        open_model(path)
    path.write_bytes(endless_onnx(77))  # none of the pictures that are tried
    assert open_model(path).probabilities(np.zeros((2, *SHAPE), np.uint8)).shape == (2, 3)
