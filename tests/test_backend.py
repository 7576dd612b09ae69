"""The same training on JAX and PyTorch, where they are installed."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


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


AS_FIT = """
import keras, numpy as np
from fmnist import backend, models
from fmnist.config import preset
from fmnist.training import distillation, optimizers

config = preset("fast", filters=(18, 8), l2=1e-3, dropout=0.2, batch_size=32, learning_rate=0.02)
backend.prepare(config.engine)
random = np.random.default_rng(0)
images = random.integers(0, 256, (80, 28, 28), np.uint8)
labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, 80)]
ends = []
for way in ("ours", "fit"):
    keras.utils.set_random_seed(0)
    model = models.build(config.model, logits=True)
    optimizer, loss = optimizers.build(config.training), distillation.loss(config)
    if way == "ours":
        steps = backend.Steps(model, optimizer, loss, 32)
        results = [steps(images, labels) for _ in range(2)]
    else:
        metrics = [keras.metrics.MeanMetricWrapper(backend._hits, name="accuracy")]
        model.compile(optimizer, loss, metrics=metrics)
        rows = [model.fit(images[..., None], labels, 32, shuffle=False, verbose=0).history for _ in range(2)]
        results = [{name: values[0] for name, values in row.items()} for row in rows]
    answers = backend.Predictor(model, 32)(images)
    np.testing.assert_allclose(answers, model(images[..., None], training=False), atol=1e-5)
    ends.append(([results[n][name] for n in (0, 1) for name in ("loss", "accuracy")], model.get_weights()))
for ours, theirs in zip(*ends):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
"""


def test_on_jax_our_own_loop_ends_where_fit_ends():
    """Dropout, an L2 penalty and a smaller last batch included: the loss, the accuracy and the weights."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed; it is the user's choice and not in the lock file")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", AS_FIT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("backend", "code", "message"),
    [("theano", 2, "KERAS_BACKEND is 'theano'; expected one of tensorflow, jax, torch")],
)
def test_an_unknown_backend_is_named(backend, code, message, tmp_path, tiny_data_dir):
    command = [sys.executable, "-m", "fmnist", "train", "--data-dir", str(tiny_data_dir), "--runs-dir", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "theirs",
    [{"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3, "backend": "jax"}, {}],
)
def test_a_users_keras_json_changes_nothing(theirs, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(theirs))
    code = (
        "from fmnist import backend; name = backend.prepare(); import keras; "
        "print(name, keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon(), "
        "keras.config.dtype_policy().name)"
    )
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables | {"KERAS_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["tensorflow", "channels_last", "float32", "1e-07", "float32"], done.stderr
