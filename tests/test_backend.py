"""The same training on JAX and PyTorch, where they are installed."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

_OURS = ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS")  # what `backend.prepare` sets


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("preset", ["reference", "fast"])
def test_a_short_training_works(backend, preset, tmp_path, tiny_data_dir):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it is the user's choice and not in the lock file")
    command = [sys.executable, "-m", "fmnist", "train", "--preset", preset, "--epochs", "2", "--name", "run"]
    where = ["--data-dir", str(tiny_data_dir), "--runs-dir", str(tmp_path)]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([*command, *where], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(tmp_path / "run")
    assert read_json(run.environment)["backend"] == backend
    rows = read_history(run.history)
    assert rows[-1]["train_loss"] < 2.3 and read_json(run.metrics)["accuracy"] > 0.2


@pytest.mark.parametrize(
    ("backend", "code", "message"),
    [("theano", 2, "KERAS_BACKEND is 'theano'; expected one of tensorflow, jax, torch")],
)
def test_an_unknown_backend_is_named(backend, code, message, tmp_path, tiny_data_dir):
    command = [sys.executable, "-m", "fmnist", "train", "--data-dir", str(tiny_data_dir), "--runs-dir", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr


_THEIRS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3, "backend": "jax"}


@pytest.mark.parametrize(
    ("first", "theirs"),
    [("backend.prepare()", _THEIRS), ("build(preset('reference').model)", _THEIRS), ("backend.prepare()", {})],
)
def test_a_users_keras_json_changes_nothing(first, theirs, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(theirs))
    code = (
        f"from fmnist import backend, build, preset; {first}; import keras, os; "
        "print(keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx(), "
        "keras.config.epsilon(), keras.config.dtype_policy().name, os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    )
    variables = {name: value for name, value in os.environ.items() if name not in _OURS}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables | {"KERAS_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["tensorflow", "channels_last", "float32", "1e-07", "float32", "1"], done.stderr


def test_a_switch_that_comes_too_late_is_not_recorded():
    code = "import os, tensorflow; from fmnist.backend import prepare; prepare(); print(os.environ.keys() & {%r})"
    code %= "TF_ENABLE_ONEDNN_OPTS"
    variables = {name: value for name, value in os.environ.items() if name not in _OURS}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_a_lean_import_leaves_packages_out_that_can_be_imported_afterwards():
    code = (
        "import sys; from fmnist.backend.setup import OPTIONAL, prepare; prepare(lean=True); "
        "loaded = sys.modules.keys() & set(OPTIONAL); import pandas; print(loaded, pandas.__name__)"
    )
    variables = {name: value for name, value in os.environ.items() if name not in _OURS}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.stdout == "set() pandas\n", done.stderr
