"""PyTorch's older files: what is written is read, and a file gets nothing else done."""

import os

import numpy as np
import pytest
from support.torch_files import KINDS, write_tensors

from fmnist.errors import InputError
from fmnist.models.torch_file import read_tensors

TENSORS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b.weight": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "c.steps": np.array(7, np.int64),
}


def test_what_is_written_is_read(tmp_path):
    found = read_tensors(write_tensors(tmp_path / "x.pth", TENSORS))
    assert list(found) == list(TENSORS)
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


class Call:
    """Pickled, it asks for a call."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (lambda state: state | {"x": Call(os.mkdir, ("harm",))}, "it asks for posix.mkdir, which is no tensor"),
        (lambda state: Call(eval, ("1/0",)), "it asks for __builtin__.eval"),
        (lambda state: state | {"x": 1}, "no attribute 'storage'"),
        (lambda state: [state], "no attribute 'values'"),
        (lambda state: {"x": 1.5}, "the instruction BINFLOAT, which no tensor needs"),
        (lambda state: dict(list(state.items())[1:]), "the storages that it lists are not those of its tensors"),
    ],
)
def test_anything_else_is_refused_and_not_run(wrap, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_tensors(tmp_path / "x.pth", TENSORS, wrap=wrap)
    with pytest.raises(InputError, match="x.pth is no PyTorch file of tensors alone") as caught:
        read_tensors(path)
    assert expected in str(caught.value)
    assert os.listdir(tmp_path) == ["x.pth"]


def test_a_damaged_file_is_refused(tmp_path):
    path = write_tensors(tmp_path / "x.pth", TENSORS)
    content = path.read_bytes()
    for length in (0, 5, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="is no PyTorch file of tensors alone"):
            read_tensors(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="more follows after its last storage"):
        read_tensors(path)


def test_every_changed_byte_is_read_or_refused(tmp_path):
    """No byte of the pickles, set to any of some values, leads to another kind of error."""
    path = write_tensors(tmp_path / "x.pth", TENSORS)
    content = bytearray(path.read_bytes())
    refused = 0
    for position in range(len(content) - 24 * 4):
        for value in (0, 0x28, 0x52, 0xFF, content[position] ^ 1):
            changed = bytearray(content)
            changed[position] = value
            path.write_bytes(changed)
            try:
                read_tensors(path)
            except InputError:
                refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (1000, 1000), (0, 0)),
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (2, 2), (3, 1)),
        (0, (-1,), (1,)),
        (0, (2,), (1, 1)),
        (0, (2**70, 0), (1, 1)),
    ],
)
def test_a_tensor_keeps_to_its_storage_of_four(offset, shape, strides, tmp_path):
    def lie(state):
        state["a"].place = (state["a"].place[0], offset, shape, strides)
        return state

    path = write_tensors(tmp_path / "x.pth", {"a": np.zeros(4, np.float32)}, wrap=lie)
    with pytest.raises(InputError, match="is no PyTorch file of tensors alone"):
        read_tensors(path)


def test_other_forms_are_named(tmp_path):
    (tmp_path / "new.pth").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(InputError, match="is in PyTorch's newer form; expected the older one: save it again"):
        read_tensors(tmp_path / "new.pth")
    kinds = {"HalfStorage": np.dtype(np.float16)}
    path = write_tensors(tmp_path / "half.pth", {"a": np.zeros(3, np.float16)}, kinds=kinds)
    with pytest.raises(InputError, match=r"it holds a storage of torch.HalfStorage, not of torch.FloatStorage"):
        read_tensors(path)
    with pytest.raises(InputError, match="cannot read .*: No such file"):
        read_tensors(tmp_path / "nowhere.pth")


def test_the_size_is_bounded(tmp_path, monkeypatch):
    path = write_tensors(tmp_path / "x.pth", TENSORS, kinds=KINDS)
    monkeypatch.setattr("fmnist.models.torch_file.MAX_BYTES", 100)
    with pytest.raises(InputError, match="is larger than 0 MiB; expected a file of weights"):
        read_tensors(path)
