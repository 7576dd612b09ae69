"""Full disks, damaged checkpoints, folders that cannot be written: told, and nothing that was good is lost."""

import os
import random
import shutil

import numpy as np
import pytest
from support import disk

import fmnist
from fmnist import backend
from fmnist.errors import FmnistError, RunError
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

backend.prepare()

from fmnist.training.progress import Interrupted  # noqa: E402

SETTINGS = {"epochs": 2, "filters": (4, 8), "segment_steps": 5, "batch_size": 32, "dropout": 0.3, "flip": True}
CONFIG = fmnist.preset("reference", **SETTINGS)


@pytest.fixture
def save_often(monkeypatch):
    monkeypatch.setattr("fmnist.training.state.CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_dataset):
    return fmnist.train(CONFIG, tiny_dataset, tmp_path_factory.mktemp("whole") / "run", train_only=True)


def weights(run):
    import keras

    return keras.models.load_model(run.model, compile=False).get_weights()


def expect_equal(run, other):
    for part, expected in zip(weights(run), weights(other), strict=True):
        np.testing.assert_array_equal(part, expected)


def train_on_a_full_disk(number, limit, dataset, run):
    """Train while the disk is full from a write on; return whether it came to that, and what of the run is whole."""
    with disk.full_from(number, run.path, limit) as state:
        try:
            fmnist.train(CONFIG, dataset, run, train_only=True)
        except FmnistError as error:
            assert isinstance(error, RunError) and "cannot write" in str(error) and error.exit_code == 1
            assert state["left"] < 0
        else:
            return False
    if checkpoints.complete(run.checkpoints):
        assert checkpoints.load_latest(run.checkpoints)[2] == []
    assert run.leftovers() == []
    return True


def every_write(numbers, dataset, whole, folder):
    """Fill the disk at each of the writes; return how many there were."""
    count = 0
    for number in numbers:
        run = RunDirectory(folder / str(number))
        if not train_on_a_full_disk(number, 64 * (number % 2), dataset, run):
            break
        count += 1
        resume = fmnist.resume if run.exists() else None
        resume(run, dataset, train_only=True) if resume else fmnist.train(CONFIG, dataset, run, train_only=True)
        expect_equal(run, whole)
        shutil.rmtree(run.path)
    return count


def test_a_full_disk_at_some_writes(save_often, tiny_dataset, whole, tmp_path):
    assert every_write([2, 9, 21], tiny_dataset, whole, tmp_path) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_at_every_fourth_write_of_training(save_often, tiny_dataset, whole, tmp_path):
    """Another quarter each time; `make torture` has them all."""
    first = random.SystemRandom().randrange(4)
    assert every_write(range(first, 200, 4), tiny_dataset, whole, tmp_path) > 10, first


def after_training(numbers, dataset, whole, folder):
    """Fill the disk at each write of evaluation, diagnosis, plots and report; return how many there were."""
    count = 0
    for number in numbers:
        run = RunDirectory(folder / str(number))
        shutil.copytree(whole.path, run.path)
        with disk.full_from(number, run.path, 64 * (number % 2)):
            try:
                fmnist.resume(run, dataset)
                break
            except FmnistError as error:
                assert isinstance(error, RunError) and "cannot write" in str(error)
        count += 1
        assert run.leftovers() == [] and not run.report.exists()
        expect_equal(run, whole)
        shutil.rmtree(run.path)
    return count


def test_a_full_disk_in_the_evaluation(tiny_dataset, whole, tmp_path):
    assert after_training([1, 2], tiny_dataset, whole, tmp_path) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_at_every_fourth_write_after_training(tiny_dataset, whole, tmp_path):
    first = random.SystemRandom().randrange(4)
    assert after_training(range(first, 200, 4), tiny_dataset, whole, tmp_path) > 5, first


def harm_newest(folder, count, rng):
    """Damage the newest checkpoint at `count` places in turn; return how often that was noticed and passed over."""
    newest, before = checkpoints.complete(folder)
    noticed = 0
    for _ in range(count):
        path = newest / rng.choice([checkpoints.ARRAYS, checkpoints.ARRAYS, checkpoints.STATE, checkpoints.MANIFEST])
        content = path.read_bytes()
        disk.damage(path, rng)
        _, state, problems = checkpoints.load_latest(folder)
        noticed += len(problems) == 1 and problems[0].startswith(newest.name) and state == checkpoints.read(before)[1]
        path.write_bytes(content)
    return noticed


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_damage_anywhere_in_the_newest_checkpoint_is_noticed(count, save_often, tiny_dataset, tmp_path):
    run = fmnist.train(CONFIG, tiny_dataset, tmp_path / "run", train_only=True)
    seed = random.SystemRandom().randrange(2**31)
    assert harm_newest(run.checkpoints, count, random.Random(seed)) == count, seed


def test_a_run_goes_on_from_the_checkpoint_before(save_often, tiny_dataset, whole, tmp_path):
    run = RunDirectory(tmp_path / "run")
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fmnist.train(CONFIG, tiny_dataset, run, should_stop=lambda: next(calls) == 4, train_only=True)
    newest = checkpoints.complete(run.checkpoints)[0]
    disk.damage(newest / checkpoints.ARRAYS, random.Random(0))
    notes = []
    watcher = fmnist.Watcher()
    watcher.note = notes.append
    fmnist.resume(run, tiny_dataset, watcher=watcher, train_only=True)
    assert (
        len(notes) == 1 and notes[0].startswith(f"{newest.name} is damaged") and "using the one before it" in notes[0]
    )
    expect_equal(run, whole)
    history = [{**row, "seconds": 0} for row in read_history(run.history)]
    assert history == [{**row, "seconds": 0} for row in read_history(whole.history)]
    assert read_json(run.status)["state"] == "finished"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX users")
def test_folders_that_cannot_be_written(tiny_dataset, tmp_path):
    """As a user without rights: for root every folder can be written."""
    tmp_path.chmod(0o555)
    run = RunDirectory(tmp_path / "run")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(RunError, match="cannot write the run directory"):
            fmnist.train(CONFIG, tiny_dataset, run)
    finally:
        os.seteuid(before)
        tmp_path.chmod(0o755)
