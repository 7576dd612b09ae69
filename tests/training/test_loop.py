"""The recipe: what it measures, when it stops, and that an interrupted run ends as an uninterrupted one."""

import numpy as np
import pytest
from support.small_data import StopAfter

import fmnist
from fmnist import backend
from fmnist.errors import InputError, RunError
from fmnist.run import checkpoints, results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import HISTORY_COLUMNS, read_history

backend.prepare()
import keras  # noqa: E402

from fmnist.training import loop  # noqa: E402
from fmnist.training.phase import Phase  # noqa: E402
from fmnist.training.progress import Interrupted, Progress  # noqa: E402

SMALL = {"filters": (4, 8, 8), "segment_steps": 3, "batch_size": 32}


def weights(run):
    return keras.models.load_model(run.model, compile=False).get_weights()


def timeless(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_a_run_writes_what_it_promises(tiny_run):
    rows = read_history(tiny_run.history)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(set(row) == set(HISTORY_COLUMNS) for row in rows)
    assert rows[1]["val_loss"] < rows[0]["val_loss"]
    config, status = read_json(tiny_run.config), read_json(tiny_run.status)
    assert config["dataset"] == {
        "class_names": [str(n) for n in range(10)],
        "image_shape": [28, 28],
        "num_train": 480,
        "num_validation": 120,
        "num_test": 200,
        "preparation": {"method": "photo", "negate": False},
    }
    assert (status["state"], status["epoch"], status["step"]) == ("finished", 2, 2 * 8)
    assert status["seconds"] == pytest.approx(sum(row["seconds"] for row in rows), abs=0.01)
    assert {"keras", "python", "processor", "backend", "data_sha256"} <= set(read_json(tiny_run.environment))


def test_the_losses_within_the_first_epoch_are_kept(tiny_run):
    """Eight steps of 64 images, the last one smaller, in two segments: their mean is that of the history."""
    (half, first), (end, second) = results.first_epoch(tiny_run)
    assert (half, end) == (4, 8)
    assert (256 * first + 224 * second) / 480 == pytest.approx(read_history(tiny_run.history)[0]["loss"], rel=1e-5)


@pytest.mark.parametrize("segments", [3, [1], [[1, 2, 3]], [[1, "x"]], [[1, None]]])
def test_a_checkpoint_with_other_segments_is_refused(segments):
    with pytest.raises(ValueError, match="its state"):
        Progress.from_state({"epochs": 1, "segments": segments})


def test_the_measured_scores_are_the_saved_models(tiny_run, tiny_dataset):
    """480 images are fewer than the sample of 5,000, so train_* covers exactly the training split."""
    train, validation = fmnist.split_indices(tiny_dataset.train_labels, 0.2, 0)
    model = keras.models.load_model(tiny_run.model)
    last = read_history(tiny_run.history)[-1]
    for part, indices in (("train", train), ("val", validation)):
        probabilities = np.asarray(model(tiny_dataset.train_images[indices]))
        labels = tiny_dataset.train_labels[indices]
        assert last[f"{part}_accuracy"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean(), abs=1e-6)
        chosen = probabilities[np.arange(len(labels)), labels]
        assert last[f"{part}_loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)


def test_the_running_averages_weigh_every_image_alike(tiny_dataset, tmp_path):
    """With a learning rate of zero the running loss is the loss on the training images, odd last batch included."""
    config = fmnist.preset("reference", epochs=1, learning_rate=0.0, **{**SMALL, "batch_size": 50})
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    row = read_history(run.history)[0]
    assert row["loss"] == pytest.approx(row["train_loss"], rel=1e-4)
    assert row["accuracy"] == pytest.approx(row["train_accuracy"], abs=1e-6)


# Large steps: the validation loss rises after two epochs or some more.
REMEDIES = {"dropout": 0.3, "l2": 1e-3, "batch_normalization": True, "rotation": 10.0, "zoom": 0.1, "erase": 0.3}
STOPPING = {"epochs": 9, "early_stopping": 1, "learning_rate": 0.03, "filters": (4, 8)}


AVERAGED = {"ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0, "flip_average": True, "early_stopping": 8}


@pytest.mark.parametrize(
    ("preset", "settings"),
    [("reference", {**REMEDIES, **STOPPING}), ("fast", {"epochs": 3}), ("fast", {"epochs": 3, **AVERAGED})],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(preset, settings, tiny_dataset, tmp_path):
    config = fmnist.preset(preset, validation_fraction=0.2, flip=True, shift=1, **{**SMALL, **settings})
    whole = fmnist.train(config, tiny_dataset, tmp_path / "whole", train_only=True)
    status = read_json(whole.status)
    if config.training.early_stopping == 1:
        assert status["model_epoch"] == status["epoch"] - 1 < status["epochs"] - 1
    run = RunDirectory(tmp_path / "parts")
    with pytest.raises(Interrupted):
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(2), train_only=True)
    assert run.state() == "interrupted" and not run.model.exists()
    for segments in (6, 5 * (status["epoch"] - 2)):  # of five an epoch: in the second one, and in the last
        with pytest.raises(Interrupted):
            fmnist.resume(run, tiny_dataset, should_stop=StopAfter(segments), train_only=True)
    fmnist.resume(run, tiny_dataset, train_only=True)
    assert run.state() == "finished"
    assert read_json(run.status) | {"seconds": 0} == status | {"seconds": 0}
    assert timeless(read_history(run.history)) == timeless(read_history(whole.history))
    assert len(results.first_epoch(run)) == 5 and results.first_epoch(run) == results.first_epoch(whole)
    for part, expected in zip(weights(run), weights(whole), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_early_stopping_keeps_the_best_weights(tiny_dataset, tmp_path, monkeypatch):
    """A crafted validation loss: best after epoch 2, equalled after epoch 4, patience of 3: the end is epoch 5."""
    crafted = iter([0.9, 0.5, 0.7, 0.5, 0.6])
    seen = []

    def measure(stage):
        stage.final.set_weights(stage.model.get_weights())
        seen.append(stage.final.get_weights())
        return {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": next(crafted), "val_accuracy": 0.5}

    monkeypatch.setattr(Phase, "measure", measure)
    notes = []

    class Notes(fmnist.Watcher):
        def note(self, text):
            notes.append(text)

    config = fmnist.preset("reference", epochs=9, early_stopping=3, **SMALL)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Notes(), train_only=True)
    status = read_json(run.status)
    assert (status["epoch"], status["epochs"], status["model_epoch"]) == (5, 9, 2)
    assert [row["val_loss"] for row in read_history(run.history)] == [0.9, 0.5, 0.7, 0.5, 0.6]
    assert notes == ["Stopped after epoch 5; the model has the weights of epoch 2, the best by validation loss"]
    for saved, best, last in zip(weights(run), seen[1], seen[-1], strict=True):
        np.testing.assert_array_equal(saved, best)
        assert not np.array_equal(best, last)


def test_without_early_stopping_the_last_epoch_counts(tiny_run):
    assert read_json(tiny_run.status)["model_epoch"] == 2


@pytest.mark.parametrize("settings", [{"validation_fraction": 0.0}, {"validation_fraction": 0.01, "limit": 20}])
def test_early_stopping_needs_validation_images(settings, tiny_dataset, tmp_path):
    config = fmnist.preset("reference", early_stopping=3, **settings)
    with pytest.raises(InputError, match=r"`early_stopping=3` watches the validation loss, and .* leaves none"):
        fmnist.train(config, tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_the_running_loss_holds_the_penalty(tiny_dataset, tmp_path):
    """With a learning rate of zero the weights stay, and the difference is L2 times their squares."""
    still = {"epochs": 1, "learning_rate": 0.0, "l2": 0.5, **SMALL, "batch_size": 50}
    run = fmnist.train(fmnist.preset("reference", **still), tiny_dataset, tmp_path / "run", train_only=True)
    row = read_history(run.history)[0]
    squares = sum(float(np.square(kernel).sum()) for kernel in weights(run) if kernel.ndim > 1)
    assert row["loss"] - row["train_loss"] == pytest.approx(0.5 * squares, rel=1e-4)


def test_the_seed_decides_the_result(tiny_dataset, tmp_path):
    runs = [
        fmnist.train(
            fmnist.preset("reference", epochs=1, seed=seed, **SMALL), tiny_dataset, tmp_path / name, train_only=True
        )
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    first, same, other = (weights(run) for run in runs)
    assert all(np.array_equal(x, y) for x, y in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_loss_that_is_not_finite_stops_the_run(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", epochs=2, optimizer="sgd", learning_rate=1e30, **SMALL)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match=r"the loss became (nan|inf) in epoch 1 of 2, at step 3; try a smaller"):
        fmnist.train(config, tiny_dataset, run)
    assert run.state() == "diverged"
    assert "became" in read_json(run.status)["message"]


def test_without_validation_there_are_no_validation_columns(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", epochs=1, validation_fraction=0.0, limit=100, **SMALL)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    row = read_history(run.history)[0]
    assert "val_loss" not in row and row["train_accuracy"] >= 0
    assert read_json(run.config)["dataset"]["num_train"] == 100


def test_a_share_too_small_for_one_image_is_no_validation(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", epochs=1, validation_fraction=0.01, limit=40, **SMALL)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run")
    assert run.report.is_file() and not run.diagnosis.exists()
    assert read_json(run.config)["dataset"]["num_validation"] == 0


def test_a_weight_decay_that_does_nothing_is_refused():
    with pytest.raises(InputError, match="weight_decay: adam has none; take `optimizer='adamw'`"):
        fmnist.preset("reference", weight_decay=0.01)


def test_a_run_is_not_overwritten_unasked(tiny_dataset, tiny_run, tmp_path):
    config = fmnist.preset("reference", epochs=1, **SMALL)
    with pytest.raises(
        InputError, match="holds a run already \\(finished\\); choose another name, or replace it with `overwrite=True`"
    ):
        fmnist.train(config, tiny_dataset, tiny_run)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    (run.path / "notes.txt").write_text("mine")
    fmnist.train(config.with_overrides(epochs=2), tiny_dataset, run, train_only=True, overwrite=True)
    assert len(read_history(run.history)) == 2
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_run_killed_before_its_first_checkpoint_starts_again(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", epochs=1, **SMALL)
    whole = fmnist.train(config, tiny_dataset, tmp_path / "whole", train_only=True)
    run = RunDirectory(tmp_path / "killed")

    class Killed(BaseException):
        pass

    class Watcher(fmnist.Watcher):
        def segment(self, progress):
            raise Killed

    with pytest.raises(Killed):
        fmnist.train(config, tiny_dataset, run, watcher=Watcher(), train_only=True)
    assert run.state() == "running" and not run.checkpoints.exists()
    notes = []
    watcher = fmnist.Watcher()
    watcher.note = notes.append
    fmnist.resume(run, tiny_dataset, watcher=watcher, train_only=True)
    assert notes == ["The run ended before its first checkpoint; it starts again"]
    for part, expected in zip(weights(run), weights(whole), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_a_run_stopped_after_training_goes_on_with_the_rest(tiny_dataset, tmp_path):
    run = RunDirectory(tmp_path / "run")
    config = fmnist.preset("reference", epochs=1, **SMALL)
    with pytest.raises(Interrupted):  # of five segments; then it is asked once after the evaluation
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(6))
    assert run.state() == "finished" and run.metrics.is_file() and not run.report.exists()
    fmnist.resume(run, tiny_dataset)
    assert run.report.is_file() and run.diagnosis.is_file()
    with pytest.raises(InputError, match="is finished"):
        fmnist.resume(run, tiny_dataset)


def test_segments_of_large_batches_hold_fewer_steps(tiny_dataset, tmp_path, monkeypatch):
    """A stop is heard, and a checkpoint can be taken, after a bounded number of images."""
    monkeypatch.setattr(loop, "MAX_SEGMENT_IMAGES", 200)
    steps = []

    class Watcher(fmnist.Watcher):
        def segment(self, progress):
            steps.append(progress.step)

    config = fmnist.preset("reference", epochs=1, **SMALL | {"batch_size": 90, "segment_steps": 50})
    fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Watcher(), train_only=True)
    assert steps == [2, 4, 6]


def test_weights_that_are_no_numbers_are_not_saved(tiny_dataset, tmp_path, monkeypatch):
    """The loss is that of the weights before a step, so the last step of a segment can spoil them unseen."""
    monkeypatch.setattr("fmnist.training.state.CHECKPOINT_SECONDS", 0.0)
    run = RunDirectory(tmp_path / "run")

    class Watcher(fmnist.Watcher):
        def network(self, model):
            self.model = model

        def segment(self, progress):
            if progress.epoch == 1:
                self.model.layers[-1].bias.assign([np.nan] * 10)

    config = fmnist.preset("reference", epochs=3, **SMALL)
    with pytest.raises(RunError, match=r"probabilities/bias became nan in epoch 2 of 3, at step 3; try a smaller"):
        fmnist.train(config, tiny_dataset, run, watcher=Watcher())
    arrays, state, problems = checkpoints.load_latest(run.checkpoints)
    assert run.state() == "diverged" and state["epoch"] == 1 and not problems
    assert all(np.isfinite(array).all() for array in arrays)


def test_a_loss_measured_after_an_epoch_must_be_finite_too(tiny_dataset, tmp_path, monkeypatch):
    measured = {"train_loss": np.nan, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    monkeypatch.setattr(Phase, "measure", lambda self: measured)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match="the train_loss became nan in epoch 1 of 1"):
        fmnist.train(fmnist.preset("reference", epochs=1, **SMALL), tiny_dataset, run)
    assert run.state() == "diverged" and not run.model.exists()


def test_resume_refuses_what_it_cannot_continue(tiny_dataset, tiny_run, tmp_path):
    with pytest.raises(InputError, match="is finished"):
        fmnist.resume(tiny_run, tiny_dataset)
    config = fmnist.preset("reference", epochs=1, **SMALL)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted):
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(1))
    other = fmnist.Dataset(**{**vars(tiny_dataset), "sha256": {"train-images-idx3-ubyte": "0"}})
    with pytest.raises(InputError, match="was trained on other data"):
        fmnist.resume(run, other)
    known = run.environment.read_bytes()
    run.environment.unlink()
    with pytest.raises(InputError, match="environment.json does not tell the data of the run"):
        fmnist.resume(run, tiny_dataset)
    run.environment.write_bytes(known)
    for path in checkpoints.complete(run.checkpoints):
        (path / "arrays.npz").write_bytes(b"")
    with pytest.raises(RunError, match="no usable checkpoint"):
        fmnist.resume(run, tiny_dataset)


def test_settings_that_leave_nothing_to_train_on_are_refused(tiny_dataset, tmp_path):
    config = fmnist.preset("reference", limit=5)
    with pytest.raises(InputError, match=r"leave 4 training images"):
        fmnist.train(config, tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_scores_the_saved_model(tiny_run, tiny_dataset):
    result = read_json(tiny_run.metrics)
    with np.load(tiny_run.predictions) as predictions:
        probabilities, labels = predictions["probabilities"], predictions["labels"]
    model = keras.models.load_model(tiny_run.model)
    np.testing.assert_allclose(probabilities, np.asarray(model(tiny_dataset.test_images)), atol=1e-6)
    np.testing.assert_array_equal(labels, tiny_dataset.test_labels)
    assert result["accuracy"] == (probabilities.argmax(axis=1) == labels).mean()
    assert np.sum(result["confusion_matrix"]) == 200 and len(result["per_class"]) == 10


def test_evaluation_refuses_another_data_set(tiny_run, tiny_dataset):
    other = fmnist.Dataset(**{**vars(tiny_dataset), "class_names": tuple("abcdefghij")})
    with pytest.raises(InputError, match="was trained on 10 classes"):
        fmnist.evaluate(tiny_run, other)


def test_the_pipeline_ends_with_a_report(tiny_run):
    assert tiny_run.report.is_file()
    assert {"curves.png", "confusion.svg"} <= {path.name for path in tiny_run.plots.iterdir()}
