"""`fmnist data`: the facts on stdout, as text or JSON, and the sample sheet."""

import json
import sys
import types

import numpy as np
import pytest

from fmnist.data.inspection import inspect


@pytest.fixture
def drawn(monkeypatch):
    """Stand in for the plots, which need matplotlib; returns the calls."""
    calls = []

    def sample_sheet(images, labels, class_names, path, title):
        calls.append((images, labels, class_names, title))
        return [path, path.with_suffix(".svg")]

    monkeypatch.setitem(sys.modules, "fmnist.report.plots", types.SimpleNamespace(sample_sheet=sample_sheet))
    return calls


def test_text(run_cli, tiny_data_dir, drawn):
    code, out, err = run_cli("data", "--data-dir", tiny_data_dir, "--no-samples")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert f"source          {tiny_data_dir}" in lines
    assert "images          600 training, 200 test" in lines
    assert "exact copies    0 inside training, 0 inside test, 0 test images also in training" in lines
    assert f"{'':16}with another label: 0 inside training, 0 inside test, 0 test images also in training" in lines
    assert "    3  3            61    20  ########################" in lines
    assert "    9  9            58    20  #######################" in lines
    assert max(map(len, lines[1:])) <= 100
    assert not drawn


def test_the_columns_line_up_with_long_names_and_uneven_classes(run_cli, tiny_data_dir, tmp_path):
    for path in tiny_data_dir.iterdir():
        (tmp_path / path.name).symlink_to(path)
    names = ["a", "a rather long name", *"cdefghijkl"]  # the last two have no image
    (tmp_path / "classes.txt").write_text("\n".join(names))
    _, out, _ = run_cli("data", "--data-dir", tmp_path, "--no-samples")
    table = out[out.index("\nlabel") + 1 :].splitlines()[: 1 + len(names)]
    end = table[0].index("test") + len("test")
    for line, name in zip(table[1:], names, strict=True):
        assert line[7:].startswith(f"{name} ")
        assert line[end - 1].isdigit()
        assert line[end:].strip("# ") == ""
    assert table[-1].split() == ["11", "l", "0", "0"]


def test_json_is_all_of_stdout(run_cli, tiny_data_dir, tiny_dataset):
    code, out, err = run_cli("data", "--data-dir", tiny_data_dir, "--json", "--no-samples")
    assert (code, err) == (0, "")
    assert json.loads(out) == inspect(tiny_dataset) | {"samples": []}


def test_samples(run_cli, tiny_data_dir, tiny_dataset, drawn, tmp_path):
    path = tmp_path / "sheet.png"
    code, out, _ = run_cli("data", "--data-dir", tiny_data_dir, "--samples", path)
    assert code == 0
    assert out.splitlines()[-1] == f"Sample sheet    {path}"
    ((images, labels, class_names, title),) = drawn
    assert labels.tolist() == [label for label in range(10) for _ in range(10)]
    first_of_class_3 = tiny_dataset.train_images[np.flatnonzero(tiny_dataset.train_labels == 3)[0]]
    np.testing.assert_array_equal(images[30], first_of_class_3)
    assert class_names == tiny_dataset.class_names
    assert title == "The first 10 training images of each class"
    _, out, _ = run_cli("data", "--data-dir", tiny_data_dir, "--samples", path, "--json")
    assert json.loads(out)["samples"] == [str(path), str(tmp_path / "sheet.svg")]


def test_a_missing_extra_is_named(run_cli, tiny_data_dir, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "fmnist.report.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run_cli("data", "--data-dir", tiny_data_dir, "--samples", tmp_path / "sheet.png")
    assert (code, out) == (1, "")
    assert err == (
        "Error: the sample sheet needs 'matplotlib', which is not installed; install it with: pip install "
        "'fmnist[train]', or leave it out with --no-samples\n"
    )


def test_the_sheet_is_really_drawn(run_cli, tiny_data_dir, tmp_path):
    pytest.importorskip("matplotlib")
    code, _, err = run_cli("data", "--data-dir", tiny_data_dir, "--samples", tmp_path / "sheet.png")
    assert code == 0, err
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "sheet.svg").read_text("utf-8")


def test_help_ends_in_two_examples(run_cli):
    code, out, _ = run_cli("data", "--help")
    assert code == 0
    examples = [line.strip() for line in out.rstrip().splitlines()[-2:]]
    assert examples == ["fmnist data", "fmnist data --data-dir my-images --samples my-samples.png"]


def test_bad_input_is_one_message_and_exit_code_2(run_cli, tmp_path):
    code, out, err = run_cli("data", "--data-dir", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {tmp_path} has 0 sub-folders with pictures; expected one for each class, 2 to 256\n")
    assert "IDX files" in err and len(err.splitlines()) == 2
    code, out, err = run_cli("data", "fetch")
    assert (code, out) == (2, "")
    assert "fetch" in err


def test_no_data_is_exit_code_1(run_cli, tmp_path, monkeypatch):
    from fmnist.data import sources

    monkeypatch.setenv("FMNIST_OFFLINE", "1")
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path))
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.setattr(sources, "PACKAGE_FOLDER", tmp_path / "no-package")
    code, out, err = run_cli("data", "--json")
    assert (code, out) == (1, "")
    assert err.startswith("Error: the Fashion-MNIST data could not be had from any source:\n")
    assert "no-package: no such folder" in err
