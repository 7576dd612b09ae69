"""Checkpoints: whole or not used at all."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from fmnist.errors import RunError
from fmnist.run import checkpoints

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64), np.array([1, 2], np.uint32)]


def test_what_is_saved_is_loaded(tmp_path):
    checkpoints.save(tmp_path, 12, ARRAYS, {"epoch": 1})
    arrays, state, problems = checkpoints.load_latest(tmp_path)
    assert state == {"epoch": 1} and problems == []
    for array, expected in zip(arrays, ARRAYS, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def test_the_newest_two_are_kept(tmp_path):
    for step in (5, 10, 20, 100):
        checkpoints.save(tmp_path, step, ARRAYS, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000100"]
    assert checkpoints.load_latest(tmp_path)[1] == {"step": 100}


def test_after_a_damaged_one_the_next_takes_its_place(tmp_path):
    """Otherwise the damaged one would stay the newest, and push whole ones out."""
    for step in (10, 20):
        checkpoints.save(tmp_path, step, ARRAYS, {"step": step})
    (tmp_path / "step-00000020" / "state.json").write_text("{}")
    assert checkpoints.load_latest(tmp_path)[1] == {"step": 10}
    for step in (15, 20):
        checkpoints.save(tmp_path, step, ARRAYS, {"step": step})
        whole = [checkpoints.read(path)[1]["step"] for path in checkpoints.complete(tmp_path)]
        assert whole == {15: [15, 10], 20: [20, 15]}[step]


def test_the_same_step_again_is_written_before_the_old_one_goes(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, 10, ARRAYS, {"written": 1})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "rmtree", lambda *_, **__: None)  # as if killed before the old one went
        checkpoints.save(tmp_path, 10, ARRAYS, {"written": 2})
    assert len(checkpoints.complete(tmp_path)) == 2
    assert checkpoints.load_latest(tmp_path)[1:] == ({"written": 2}, [])
    checkpoints.save(tmp_path, 20, ARRAYS, {"written": 3})
    assert [checkpoints.read(path)[1]["written"] for path in checkpoints.complete(tmp_path)] == [3, 2]


@pytest.mark.parametrize("harm", ["pickle", "compressed", "huge", "no archive", "no JSON"])
def test_a_checkpoint_by_somebody_else_is_one_error(tmp_path, harm):
    """Its manifest is right: anybody can write one."""
    header = b"\x93NUMPY\x01\x00\x76\x00" + b"%-118s" % (
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000,), }"
    )
    buffer = io.BytesIO()
    if harm == "pickle":
        np.savez(buffer, a=np.array([print], object))
    elif harm == "compressed":
        np.savez_compressed(buffer, a=np.zeros(10**7))
    elif harm == "huge":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.npy", header)
    else:
        np.savez(buffer, a=np.zeros(1)) if harm == "no JSON" else buffer.write(b"PK")
    files = {"arrays.npz": buffer.getvalue(), "state.json": b"{" if harm == "no JSON" else b"{}"}
    folder = tmp_path / "step-00000001"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (folder / "manifest.json").write_text(json.dumps(hashes))
    with pytest.raises(RunError, match="step-00000001 is damaged"):
        checkpoints.load_latest(tmp_path)


@pytest.mark.parametrize("name", ["arrays.npz", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(tmp_path, name, harm):
    checkpoints.save(tmp_path, 1, ARRAYS, {"step": 1})
    checkpoints.save(tmp_path, 2, ARRAYS, {"step": 2})
    path = tmp_path / "step-00000002" / name
    content = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    _, state, problems = checkpoints.load_latest(tmp_path)
    assert state == {"step": 1}
    assert len(problems) == 1 and problems[0].startswith("step-00000002 is damaged")


def test_without_a_whole_one_there_is_an_error(tmp_path):
    with pytest.raises(RunError, match="none was written yet"):
        checkpoints.load_latest(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, 1, ARRAYS, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device; the checkpoint before it is intact"):
        checkpoints.save(tmp_path, 2, ARRAYS, {"step": 2})
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoints.load_latest(tmp_path)[1] == {"step": 1}
