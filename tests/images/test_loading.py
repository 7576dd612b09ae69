"""`load_dataset` and `--data-dir` open every form: made into IDX files in the cache once, and again after a change."""

import os
import shutil

import pytest
from support import forms

from fmnist.data.dataset import read_folder
from fmnist.errors import InputError, RunError
from fmnist.images import loading
from fmnist.images.loading import load, load_dataset
from fmnist.run.directory import RunDirectory, write_json

TWO = forms.parts(names=("train", "test"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imported"


@pytest.fixture
def made(monkeypatch):
    """What is imported."""
    calls = []
    real = loading.import_data
    monkeypatch.setattr(
        loading, "import_data", lambda place, *rest, **how: calls.append(place) or real(place, *rest, **how)
    )
    return calls


FORMS = {
    "class folders": lambda at: forms.class_folders(at / "in", TWO),
    "archive": lambda at: forms.zipped(at / "a.zip", forms.class_folders(at / "in", TWO)),
    "CSV": lambda at: forms.csv_of_files(at / "in", TWO) / "labels.csv",
    "NPZ": lambda at: forms.keras_npz(at / "a.npz", TWO),
    "Parquet": lambda at: forms.hugging_face(at / "in", TWO),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_imported_once(form, tmp_path, made, cache):
    source, lines, seen = FORMS[form](tmp_path), [], []
    first = load_dataset(source, tell=lines.append, pictures=lambda *counts: seen.append(counts))
    assert lines[-1].startswith("Imported  ") and seen[-1] == (32, 32)
    again = load_dataset(str(source), tell=lines.append)
    assert len(made) == 1 and again.sha256 == first.sha256 and len(first.train_images) == 24
    assert first.folder.parent == cache.resolve() and first.source == f"{source}, imported into {first.folder}"


@pytest.mark.parametrize("form", ["class folders", "CSV"])
def test_a_change_is_seen(form, tmp_path, made):
    source = FORMS[form](tmp_path)
    before = load_dataset(source)
    picture = sorted((tmp_path / "in").rglob("*.png"))[0]
    picture.write_bytes(forms.png(255 - TWO["train"][0][0]))
    os.utime(picture, ns=(0, 0))
    after = load_dataset(source)
    assert len(made) == 2 and after.sha256 != before.sha256
    assert read_folder(before.folder).sha256 == before.sha256  # runs on it still find it


def test_idx_files_are_read_where_they_are(tmp_path, made, cache):
    folder = forms.idx(tmp_path / "in", forms.parts(1))
    assert load_dataset(folder).folder == (folder / "raw").resolve() and not made and not cache.exists()


def test_a_run_finds_what_was_made(tmp_path):
    source = FORMS["class folders"](tmp_path)
    dataset = load_dataset(source)
    run = RunDirectory(tmp_path / "run")
    write_json(run.environment, {"data_dir": str(dataset.folder), "data_sha256": dataset.sha256})
    shutil.rmtree(source)
    assert load(run).sha256 == dataset.sha256
    shutil.rmtree(dataset.folder)
    with pytest.raises(InputError, match="which has gone; give its data with `data_dir`"):
        load(run)


def test_the_environment_names_any_form_too(tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_DATA", str(FORMS["NPZ"](tmp_path)))
    assert len(load_dataset().train_images) == 24


def test_a_cache_that_cannot_be_written_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"cannot write .*; `fmnist data import .*a\.npz --out FOLDER` imports it"):
        load_dataset(FORMS["NPZ"](tmp_path))


def test_the_command_line_says_what_was_made(tmp_path, run_cli):
    source = FORMS["NPZ"](tmp_path)
    code, _, err = run_cli("data", "--data-dir", source, "--no-samples")
    assert code == 0 and "Imported  NPZ file, 32 images, 2 classes\n" in err
    code, out, err = run_cli("data", "--data-dir", source, "--no-samples")
    assert (code, err) == (0, "") and f"{source}, imported into " in out
