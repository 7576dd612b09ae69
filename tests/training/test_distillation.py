"""Learning from a teacher: the loss by hand, which row an image gets, and what a run refuses and remembers."""

import shutil

import numpy as np
import pytest
from support.small_data import StopAfter

import fmnist
from fmnist import backend
from fmnist.data.split import split_indices
from fmnist.errors import InputError
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history
from fmnist.training import cached_outputs, distillation
from fmnist.training.progress import Interrupted

backend.prepare()
import keras  # noqa: E402

from fmnist.training import loop  # noqa: E402
from fmnist.training.distillation import Teacher  # noqa: E402

SMALL = {"filters": (4, 8), "batch_size": 32, "segment_steps": 4, "epochs": 3}


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_loss_by_hand():
    rng = np.random.default_rng(0)
    labels, logits = np.eye(3, dtype=np.float32)[[0, 2]], rng.normal(size=(2, 3)).astype(np.float32)
    teacher = np.array([[0.7, 0.3, 0.0], [0.2, 0.2, 0.6]], np.float32)
    entropy = -np.sum((0.9 * labels + 0.1 / 3) * np.log(softmax(logits)), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.nan_to_num(teacher * np.log(teacher / softmax(logits / 2)))
    wanted = np.mean(0.25 * entropy + 0.75 * 4 * terms.sum(axis=1))
    found = distillation.DistillationLoss(0.75, 2.0, 0.1)(np.concatenate([labels, teacher], axis=1), logits)
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    exact = np.concatenate([labels, softmax(logits / 2)], axis=1)
    assert float(distillation.DistillationLoss(1.0, 2.0, 0.0)(exact, logits)) == pytest.approx(0, abs=1e-5)


def test_each_image_gets_its_own_row_and_a_flipped_one_its_mirrors(tiny_dataset, tmp_path, monkeypatch):
    """A teacher that answers by what it sees left and right: its rows must fit the images that training takes."""

    def teacher(images):
        sides = np.stack([images[:, :, :14].mean(axis=(1, 2)), images[:, :, 14:].mean(axis=(1, 2))], axis=1)
        first = sides[:, :1] / sides.sum(axis=1, keepdims=True)
        return np.concatenate([first, 1 - first, np.zeros((len(images), 8))], axis=1).astype(np.float32)

    taken = []
    original = backend.Steps.__call__
    monkeypatch.setattr(
        backend.Steps, "__call__", lambda self, *data: taken.append([*data]) or original(self, *data), raising=True
    )
    settings = {"flip": True, "distillation_temperature": 1.0, "teacher": "given"}
    config = fmnist.preset("reference", **{**SMALL, "epochs": 2, **settings})
    loop.train(config, tiny_dataset, RunDirectory(tmp_path / "run"), teacher=teacher)
    for images, targets in taken:
        np.testing.assert_allclose(targets[:, 10:], teacher(images), atol=1e-5)
        assert targets.shape[1] == 20 and (targets[:, :10].max(axis=1) == 1).all()
    assert sum(len(images) for images, _ in taken) == 2 * 480


def test_a_teacher_that_averages_over_flips_is_asked_once(tiny_dataset, tmp_path):
    """Its answers stand for the mirror images too; one that looks left and right answers for both, if shown."""
    images = tiny_dataset.train_images[:30]
    shares = {"even": lambda x: x.mean(axis=(1, 2)), "left": lambda x: x[:, :, :14].mean(axis=(1, 2))}
    for name, flip, times in (("even", True, 1), ("left", True, 2), ("left", False, 1)):

        def teacher(x, share=shares[name]):
            nonlocal asked
            asked += len(x)
            first = (share(x) / 255).astype(np.float32)[:, None]
            return np.concatenate([first, 1 - first], axis=1)

        asked, labels = 0, np.eye(2, dtype=np.float32)[np.arange(len(images)) % 2]
        config = fmnist.preset("reference", teacher="x.keras", distillation_temperature=1.0, flip=flip)
        run = RunDirectory(tmp_path / f"{name}-{flip}")
        rows, mirrored = distillation.targets(labels, images, teacher, config, run, fmnist.Watcher(), lambda: False)
        assert asked == (times + 2 * flip) * len(images)  # with mirror images, it is first asked whether these differ
        np.testing.assert_array_equal(rows[:, :2], labels)
        np.testing.assert_allclose(rows[:, 2:], teacher(images), atol=1e-6)
        if flip:
            np.testing.assert_array_equal(mirrored[:, :2], labels)
            np.testing.assert_allclose(mirrored[:, 2:], teacher(images[:, :, ::-1]), atol=1e-6)


def test_the_teachers_weight_decides(tiny_run, tiny_dataset, tmp_path):
    """With no weight the run is what it is without a teacher; with all of it the labels do not matter."""
    losses = {}
    for name, settings in {
        "alone": {},
        "unheard": {"teacher": str(tiny_run.path), "distillation_weight": 0.0},
        "taught": {"teacher": str(tiny_run.model), "distillation_weight": 1.0},
    }.items():
        config = fmnist.preset("reference", **{**SMALL, "epochs": 1, **settings})
        run = fmnist.train(config, tiny_dataset, tmp_path / name, train_only=True)
        losses[name] = read_history(run.history)[0]
        assert not run.teacher.exists()
    assert losses["unheard"]["val_loss"] == pytest.approx(losses["alone"]["val_loss"], rel=1e-4)
    assert abs(losses["taught"]["val_loss"] - losses["alone"]["val_loss"]) > 0.01
    assert losses["taught"]["val_accuracy"] > 0.2  # a tenth would be chance


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tiny_run, tiny_dataset, tmp_path, monkeypatch):
    """Stopped while the teacher answers, and twice later; the teacher is asked once, and not again."""
    config = fmnist.preset("reference", flip=True, mixup=0.3, teacher=str(tiny_run.path), **SMALL)
    whole = fmnist.train(config, tiny_dataset, tmp_path / "whole", train_only=True)
    run = RunDirectory(tmp_path / "parts")
    with pytest.raises(Interrupted):
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(1), train_only=True)
    assert run.state() == "interrupted" and not run.teacher.exists()
    for questions in (4, 5):
        with pytest.raises(Interrupted):
            fmnist.resume(run, tiny_dataset, should_stop=StopAfter(questions), train_only=True)
        assert run.teacher.exists()
    fmnist.resume(run, tiny_dataset, train_only=True)
    rows = [[{**row, "seconds": 0} for row in read_history(one.history)] for one in (run, whole)]
    assert rows[0] == rows[1] and not run.teacher.exists()
    weights = [keras.models.load_model(one.model, compile=False).get_weights() for one in (run, whole)]
    assert all(np.array_equal(x, y) for x, y in zip(*weights, strict=True))


@pytest.mark.parametrize(("seed", "fraction", "seen"), [(0, 0.2, 0), (0, 0.1, 0), (1, 0.2, None), (0, 0.4, 120)])
def test_validation_images_that_the_teacher_learnt_from_are_told(
    seed, fraction, seen, tiny_run, tiny_dataset, tmp_path
):
    """The teacher kept a fifth of 600 for itself, with seed 0; the same seed keeps the same ones, and more."""
    told = []

    class Notes(fmnist.Watcher):
        def note(self, text):
            told.append(text)

    settings = {"seed": seed, "validation_fraction": fraction, "epochs": 1, "teacher": str(tiny_run.path)}
    config = fmnist.preset("reference", **{**SMALL, **settings})
    fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=Notes(), train_only=True)
    told = [text for text in told if "of the validation images" in text]
    if seen is None:
        theirs, ours = (split_indices(tiny_dataset.train_labels, 0.2, number)[1] for number in (0, seed))
        seen = len(set(ours) - set(theirs))
    assert (f"learnt from {seen} of" in told[0]) if seen else not told


def test_what_a_teacher_of_unknown_data_learnt_from_is_not_guessed(tiny_run, tiny_dataset, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "sage")
    config = fmnist.preset("reference", seed=1, teacher=str(tmp_path / "sage"), **SMALL)
    assert Teacher(config, tiny_dataset).num_seen > 0
    (tmp_path / "sage" / "environment.json").unlink()
    assert Teacher(config, tiny_dataset).num_seen == 0


def test_a_run_goes_on_with_its_own_teacher_alone(tiny_run, tiny_dataset, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "sage")
    config = fmnist.preset("reference", teacher=str(tmp_path / "sage"), **SMALL)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted):
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(4), train_only=True)
    assert read_json(run.config)["teacher"]["run"] == "sage"
    other = keras.models.load_model(tiny_run.model, compile=False)
    other.set_weights([2 * weight for weight in other.get_weights()])
    other.save(tmp_path / "sage" / "model.keras")
    with pytest.raises(InputError, match=r"was taught by .*'sage'.* is now .*put the first one back, or start again"):
        fmnist.resume(run, tiny_dataset, train_only=True)


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [((14, 28), 10, "takes images of 14×28 pixels"), ((28, 28), 7, "knows 7 classes; expected 28×28 and 10")],
)
def test_a_teacher_of_something_else_is_refused(shape, classes, expected, tiny_dataset, tmp_path):
    path = tmp_path / "other.keras"
    fmnist.build(fmnist.preset("reference", filters=(4,)).model, shape, classes).save(path)
    with pytest.raises(InputError, match=expected):
        fmnist.train(fmnist.preset("reference", teacher=str(path), **SMALL), tiny_dataset, tmp_path / "run")
    assert not RunDirectory(tmp_path / "run").exists()


def test_a_teacher_of_other_classes_is_refused(tiny_run, tiny_dataset, tmp_path):
    renamed = fmnist.Dataset(**{**vars(tiny_dataset), "class_names": tuple("abcdefghij")})
    with pytest.raises(InputError, match="knows the classes 0, 1, .*; expected a, b"):
        fmnist.train(fmnist.preset("reference", teacher=str(tiny_run.path), **SMALL), renamed, tmp_path / "run")


def test_teachers_that_are_not_there(run_cli, tiny_data_dir, tmp_path):
    for teacher, expected in (
        ("nobody", "is neither a run directory nor"),
        ("nobody.keras", "there is no file nobody.keras"),
    ):
        flags = ["--teacher", teacher, "--runs-dir", tmp_path, "--data-dir", tiny_data_dir]
        code, _, err = run_cli("train", *flags)
        assert code == 2 and expected in err


def test_kept_outputs_that_were_changed_or_cut_are_computed_again(tmp_path):
    """One flipped bit once gave other final weights, and an empty file ended a resumed run."""
    images, path = np.arange(60, dtype=np.uint8).reshape(15, 2, 2), tmp_path / "kept.npz"
    asked = []

    def predict(batch):
        asked.append(len(batch))
        return batch.reshape(len(batch), 4).astype(np.float32)

    expected = cached_outputs.kept(path, predict, images, (4,), lambda: False)
    np.testing.assert_array_equal(cached_outputs.kept(path, predict, images, (4,), lambda: False), expected)
    assert asked == [15]
    whole = path.read_bytes()
    for damage in (b"", whole[:-1], whole[: len(whole) // 2], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(damage)
        np.testing.assert_array_equal(cached_outputs.kept(path, predict, images, (4,), lambda: False), expected)
    assert asked == [15] * 5 and path.read_bytes() == whole
    np.savez_compressed(path, outputs=expected)  # a small file may unpack to many gigabytes
    cached_outputs.kept(path, predict, images, (4,), lambda: False)
    assert asked == [15] * 6 and path.read_bytes() == whole
