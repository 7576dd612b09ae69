"""What only reads a run answers too while another process holds it, and where nothing can be written."""

import contextlib
import json
import shutil

import pytest

import fmnist
from fmnist.run import lock


@contextlib.contextmanager
def read_only(path):
    """A folder in which no lock can be made, as on a disk that is mounted for reading, whoever asks."""
    (path / lock.FILE).unlink(missing_ok=True)
    (path / lock.FILE).mkdir()
    yield


@pytest.fixture(params=[lock.hold, read_only], ids=["in use", "read-only"])
def busy(request, tiny_run, tmp_path):
    """A finished run that cannot be locked, and its files."""
    run = fmnist.RunDirectory(tmp_path / "busy")
    shutil.copytree(tiny_run.path, run.path)
    for path in (run.diagnosis, run.metrics):
        path.unlink()
    with request.param(run.path):
        before = contents(run.path)
        yield run
        assert contents(run.path) == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_diagnose_reads(busy, tiny_run, run_cli):
    code, out, err = run_cli("diagnose", busy.path, "--json")
    assert code == 0 and "nothing is written into it" in err
    expected = fmnist.read_json(tiny_run.diagnosis)
    found = json.loads(out)
    assert {name: found[name] for name in ("verdict", "sentences")} == {
        name: expected[name] for name in ("verdict", "sentences")
    }


def test_evaluate_reads(busy, tiny_run, tiny_data_dir, run_cli):
    code, out, err = run_cli("evaluate", busy.path, "--json", "--data-dir", tiny_data_dir)
    assert code == 0 and "nothing is written into it" in err
    assert json.loads(out)["accuracy"] == fmnist.read_json(tiny_run.metrics)["accuracy"]


def test_report_goes_to_a_folder(busy, tiny_data_dir, run_cli, tmp_path):
    code, _, err = run_cli("report", busy.path, "--data-dir", tiny_data_dir)
    assert code == 1 and "with --out FOLDER the report is written there" in err
    code, out, err = run_cli("report", busy.path, "--data-dir", tiny_data_dir, "--out", tmp_path / "report")
    assert code == 0 and out.strip() == str(tmp_path / "report" / "report.html"), err
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "<svg" in page and "busy" in page and (tmp_path / "report" / "plots" / "curves.svg").is_file()


def test_what_writes_is_refused(busy, tiny_data_dir, run_cli):
    code, out, _ = run_cli("export", busy.path, "--data-dir", tiny_data_dir)
    assert code == 1 and out == ""
