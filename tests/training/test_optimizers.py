"""The optimizers: the learning rate over a run, and Muon's orthogonal steps."""

import numpy as np
import pytest

from fmnist import backend
from fmnist.config import TrainingConfig

backend.prepare()
import keras  # noqa: E402

from fmnist.training import optimizers  # noqa: E402


@pytest.mark.parametrize(
    ("done", "expected"), [(0.0, 0.0), (0.1, 0.25), (0.2, 0.5), (0.6, 0.25), (0.9, 0.0625), (1.0, 0.0)]
)
def test_the_triangle_rises_and_falls_in_straight_lines(done, expected):
    config = TrainingConfig(schedule="triangle", learning_rate=0.5, warmup_fraction=0.2)
    assert optimizers.learning_rate(config, done) == pytest.approx(expected)


@pytest.mark.parametrize(("warmup", "start", "end"), [(0.0, 0.5, 0.0), (1.0, 0.0, 0.5)])
def test_a_triangle_may_lack_one_side(warmup, start, end):
    config = TrainingConfig(schedule="triangle", learning_rate=0.5, warmup_fraction=warmup)
    assert [optimizers.learning_rate(config, done) for done in (0.0, 1.0)] == pytest.approx([start, end])


def test_a_constant_learning_rate_stays():
    config = TrainingConfig(learning_rate=0.5)
    assert {optimizers.learning_rate(config, done) for done in (0.0, 0.3, 1.0)} == {0.5}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "muon"])
def test_each_optimizer_is_built_from_the_defaults(name):
    assert optimizers.build(TrainingConfig(optimizer=name)).weight_decay in (None, 0.0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD"), ("muon", "ConvolutionMuon")],
)
def test_each_optimizer_takes_its_settings(name, kind):
    config = TrainingConfig(optimizer=name, learning_rate=0.25, momentum=0.8, weight_decay=0.01)
    optimizer = optimizers.build(config)
    assert type(optimizer).__name__ == kind
    assert float(optimizer.learning_rate) == pytest.approx(0.25)
    assert optimizer.weight_decay == (None if name == "adam" else 0.01)
    if name in ("sgd", "muon"):
        assert optimizer.momentum == 0.8 and optimizer.nesterov


def stepped(shape, path, gradient, **settings):
    """Return how a variable of zeros changes in one step of Muon with learning rate 1."""
    config = TrainingConfig(optimizer="muon", learning_rate=1.0, adam_learning_rate=0.5, **settings)
    optimizer = optimizers.build(config)
    variable = keras.Variable(np.zeros(shape, np.float32), name=path)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 4, 16), (40, 6)])
def test_a_muon_step_is_all_but_orthogonal(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    step = stepped(shape, "kernel", gradient).reshape(-1, shape[-1])
    rows, columns = step.shape
    values = np.linalg.svd(step, compute_uv=False) / max(1, columns / rows) ** 0.5
    # Five Newton-Schulz steps with these coefficients bring singular values to 0.7 to 1.2, not nearer (Jordan, 2024).
    assert values.min() > 0.6 and values.max() < 1.3
    assert np.sum(step * gradient.reshape(step.shape)) < 0


@pytest.mark.parametrize(("shape", "name"), [((6,), "gamma"), ((5, 3), "logits_kernel"), ((5, 3), "bias")])
def test_what_is_no_hidden_kernel_is_adams(shape, name):
    """Adam's first step has the size of its learning rate in each element, whatever the gradient."""
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(stepped(shape, name, gradient), -0.5 * np.sign(gradient), rtol=1e-3)
