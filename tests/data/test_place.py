"""The data of a run is found again where it lay, and only there where its bytes are still the same."""

import shutil
from pathlib import Path

import pytest

from fmnist.data import sources
from fmnist.data.place import train_flags
from fmnist.errors import InputError, RunError
from fmnist.images.loading import load, load_dataset
from fmnist.run.directory import RunDirectory, write_json


@pytest.fixture
def run(tmp_path, tiny_data_dir):
    """A run on data in a folder with a blank in its name."""
    folder = tmp_path / "my data"
    shutil.copytree(tiny_data_dir, folder)
    return trained_on(tmp_path / "runs" / "first", load_dataset(folder))


def trained_on(path, dataset):
    run = RunDirectory(path)
    place = str(dataset.folder) if dataset.folder else None
    known = {"data_source": dataset.source, "data_dir": place, "data_sha256": dataset.sha256}
    write_json(run.environment, known)
    return run


def test_the_folder_is_absolute_wherever_it_is_named_from(tmp_path, tiny_data_dir, monkeypatch):
    monkeypatch.chdir(tiny_data_dir.parent)
    assert load_dataset(tiny_data_dir.name).folder == tiny_data_dir.resolve()


def test_the_data_is_found_again_from_any_folder(run, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "runs")
    assert load(run).sha256 == tiny_dataset.sha256
    assert load(run).folder == tmp_path / "my data"


def test_a_folder_that_is_named_goes_first(run, tiny_data_dir):
    assert load(run, tiny_data_dir).folder == tiny_data_dir.resolve()


def test_data_that_has_gone_or_was_changed_is_asked_for(run, tmp_path, tiny_data_dir, monkeypatch):
    folder = tmp_path / "my data"
    content = bytearray((folder / "t10k-labels-idx1-ubyte").read_bytes())
    content[-1] = (content[-1] + 1) % 10
    (folder / "t10k-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(InputError, match="in .*my data, which has changed; give its data with `data_dir`"):
        load(run)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="data from .*my data, which has gone; give its data with `data_dir`"):
        load(run)
    monkeypatch.setenv("FMNIST_DATA", str(tiny_data_dir))
    assert load(run).folder == tiny_data_dir.resolve()


def test_the_official_data_is_taken_where_no_folder_was_named(tmp_path, tiny_data_dir, monkeypatch):
    """Whatever `FMNIST_DATA` says now."""
    run = RunDirectory(tmp_path / "run")
    write_json(run.environment, {"data_source": "a mirror", "data_dir": None, "data_sha256": sources.official_sha256()})
    monkeypatch.setenv("FMNIST_DATA", str(tiny_data_dir))

    def obtain(progress):
        raise RunError("the official sources were asked")

    monkeypatch.setattr("fmnist.data.sources.obtain", obtain)
    with pytest.raises(RunError, match="were asked"):
        load(run)


def test_runs_of_earlier_versions_have_the_folder_as_their_source(run, tmp_path, tiny_dataset):
    write_json(run.environment, {"data_source": str(tmp_path / "my data"), "data_sha256": tiny_dataset.sha256})
    assert load(run).folder == tmp_path / "my data"


def test_a_command_for_another_run_on_the_same_data(run, tmp_path):
    flags = [["--data-dir", str(tmp_path / "my data")], ["--runs-dir", str(tmp_path / "runs")]]
    assert train_flags(run) == flags
    study = tmp_path / "runs" / "remedies"
    moved = RunDirectory(study / "baseline-seed0")
    shutil.copytree(run.path, moved.path)
    write_json(study / "study.json", {})
    assert train_flags(moved) == flags
    assert train_flags(RunDirectory(Path("runs") / "none")) == []
