"""The moving average of weights: its rule, and that what is measured and saved has it."""

import numpy as np
import pytest

import fmnist
from fmnist import backend
from fmnist.run.history import read_history
from fmnist.training import phase

backend.prepare()
import keras  # noqa: E402

SMALL = {"filters": (4, 8), "batch_size": 32, "segment_steps": 3, "epochs": 3}


def test_the_rule_by_hand():
    """Decay 0.5: the first step, still near the start, keeps (1 + 1) / (10 + 1); later two keep 0.25."""
    average = [np.array([8.0], np.float32)]
    phase.follow_average(average, [np.array([0.0], np.float32)], 0.5, steps=1, done=1)
    assert average[0][0] == pytest.approx(8 * 2 / 11)
    average[0][:] = 8
    phase.follow_average(average, [np.array([4.0], np.float32)], 0.5, steps=2, done=1000)
    assert average[0][0] == pytest.approx(0.25 * 8 + 0.75 * 4)


def test_the_saved_model_is_the_average_of_what_the_steps_left(tiny_dataset, tmp_path, monkeypatch):
    """Followed beside the run: batch normalisation's averages are in it, and the history is measured on it."""
    seen = []
    original = phase.follow_average

    def watch(average, weights, decay, steps, done):
        seen.append(([np.array(array) for array in weights], steps, done))
        original(average, weights, decay, steps, done)

    monkeypatch.setattr(phase, "follow_average", watch)
    config = fmnist.preset("reference", batch_normalization=True, ema_decay=0.7, **SMALL)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    assert [steps for _, steps, _ in seen[:5]] == [3, 3, 3, 3, 3] and seen[-1][2] == 3 * 15
    assert sum(steps for _, steps, _ in seen) == 3 * 15
    expected = [np.zeros_like(array) for array in seen[0][0]]
    for weights, steps, done in seen:
        kept = min(0.7, (1 + done) / (10 + done)) ** steps
        expected = [kept * mean + (1 - kept) * array for mean, array in zip(expected, weights, strict=True)]
    model = keras.models.load_model(run.model, compile=False)
    for found, wanted, last in zip(model.get_weights(), expected, seen[-1][0], strict=True):
        # The fresh weights, which this test does not see, are left with less than a millionth.
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert np.abs(found - last).max() > 1e-5
    _, validation = fmnist.split_indices(tiny_dataset.train_labels, 0.2, 0)
    answers = backend.Predictor(model)(tiny_dataset.train_images[validation]).argmax(axis=1)
    right = (answers == tiny_dataset.train_labels[validation]).mean()
    assert read_history(run.history)[-1]["val_accuracy"] == pytest.approx(right, abs=1e-6)
