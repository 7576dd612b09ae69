"""Checkpoints: whole or not used at all."""

import numpy as np
import pytest

from fmnist import checkpoints
from fmnist.errors import RunError

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64), np.array([1, 2], np.uint32)]


def test_what_is_saved_is_loaded(tmp_path):
    checkpoints.save(tmp_path, 12, ARRAYS, {"epoch": 1})
    arrays, state, problems = checkpoints.load_latest(tmp_path)
    assert state == {"epoch": 1} and problems == []
    for array, expected in zip(arrays, ARRAYS, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def test_the_newest_two_are_kept(tmp_path):
    for step in (5, 10, 100, 20):
        checkpoints.save(tmp_path, step, ARRAYS, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000100"]
    assert checkpoints.load_latest(tmp_path)[1] == {"step": 100}


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
