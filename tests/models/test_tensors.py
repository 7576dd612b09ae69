"""Files of tensors: what is written is read, and no file but the known one is ever unpickled."""

import collections
import hashlib
import json
import os
import pickle
import struct
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.torch_files import write_tensors

from fmnist.errors import InputError, RunError
from fmnist.models import tensors
from fmnist.models.tensors import read_tensors

TENSORS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b.weight": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "c.steps": np.array(7, np.int64),
}


def known(path):
    """Read a file as the one whose hash is pinned."""
    return read_tensors(path, hashlib.sha256(path.read_bytes()).hexdigest())


def ordered(state):
    """As PyTorch's state dicts are: with an attribute, which is no tensor."""
    state = collections.OrderedDict(state)
    state._metadata = {"": {"version": 1}}
    return state


@pytest.mark.parametrize("wrap", [dict, ordered])
def test_what_is_written_is_read(wrap, tmp_path):
    found = known(write_tensors(tmp_path / "x.pth", TENSORS, wrap=wrap))
    assert list(found) == list(TENSORS)
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_safetensors_are_read_whatever_the_hash(tmp_path):
    save_file({name: np.ascontiguousarray(array) for name, array in TENSORS.items()}, tmp_path / "x.safetensors")
    found = read_tensors(tmp_path / "x.safetensors", "0" * 64)
    assert found.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


class Call:
    """Pickled, it asks for a call."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


HOSTILE = [
    lambda state: state | {"x": Call(os.mkdir, ("harm",))},
    lambda state: Call(eval, ("__import__('os').mkdir('harm')",)),
    lambda state: [state],
]


@pytest.mark.parametrize("wrap", [dict, *HOSTILE])
@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.bin", "safetensors"])
def test_a_file_with_another_hash_is_never_unpickled(wrap, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_tensors(tmp_path / name, TENSORS, wrap=wrap)
    monkeypatch.setattr(tensors, "_unpickled", lambda content: pytest.fail("it was unpickled"))
    with pytest.raises(InputError, match=r"No other file of PyTorch's is opened.*save_file\(torch.load\('") as caught:
        read_tensors(path, "0" * 64)
    assert f"{path} is neither a .safetensors file nor the known one (its SHA-256 is " in str(caught.value)
    assert os.listdir(tmp_path) == [name]


def test_the_hash_is_of_the_bytes_that_are_read(tmp_path, monkeypatch):
    """One byte changed anywhere, and a file that is exchanged after it was hashed: neither is unpickled."""
    path = write_tensors(tmp_path / "x.pth", TENSORS)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(InputError, match="nor the known one"):
            read_tensors(path, digest)
    path.write_bytes(content)
    unpickled = tensors._unpickled

    def exchange(found):
        path.write_bytes(b"another file")
        return unpickled(found)

    monkeypatch.setattr(tensors, "_unpickled", exchange)
    assert list(read_tensors(path, digest)) == list(TENSORS)


@pytest.mark.parametrize("wrap", HOSTILE[:2])
def test_even_the_known_file_gets_no_other_name(wrap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_tensors(tmp_path / "x.pth", TENSORS, wrap=wrap)
    with pytest.raises(
        pickle.UnpicklingError, match=r"it asks for (posix.mkdir|builtins.eval|__builtin__.eval|nt.mkd)"
    ):
        known(path)
    assert os.listdir(tmp_path) == ["x.pth"]


def test_a_storage_of_another_kind_has_no_name(tmp_path):
    kinds = {"HalfStorage": np.dtype(np.float16)}
    path = write_tensors(tmp_path / "half.pth", {"a": np.zeros(3, np.float16)}, kinds=kinds)
    with pytest.raises(pickle.UnpicklingError, match=r"it asks for torch.HalfStorage, which is no part of a tensor"):
        known(path)


def test_numbers_that_end_too_soon_are_refused(tmp_path):
    path = write_tensors(tmp_path / "x.pth", TENSORS)
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) - 8, len(content) - 12, len(content) - 50):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="the file ends within, or differs in, storage"):
            known(path)
    path.write_bytes(content[:100])
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        known(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
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
    with pytest.raises((ValueError, TypeError, OverflowError)):
        known(path)


def header(content, numbers=b""):
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def tensor(dtype, shape, end):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"PK\x03\x04rest of a newer file of PyTorch's",
        header([1]),
        header(tensor("F32", [2], 8), b"0000"),
        header(tensor("F32", [2], 8), b"0" * 9),
        header(tensor("F32", [2**40, 2**40], 4), b"0000"),
        header(tensor("BF16", [1], 2), b"00"),
        struct.pack("<Q", 2**62) + b"{}",
    ],
    ids=range(9),
)
def test_damaged_safetensors_are_refused(content, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"x.safetensors is no safetensors file of numbers that NumPy has: "):
        read_tensors(tmp_path / "x.safetensors", "0" * 64)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.safetensors").write_bytes(header({}))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(RunError, match=r"needs safetensors; install it with: pip install 'fmnist\[transfer\]'"):
        read_tensors(tmp_path / "x.safetensors", "0" * 64)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot read .*: No such file"):
        read_tensors(tmp_path / "nowhere.pth", "0" * 64)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_the_size_is_bounded(name, tmp_path, monkeypatch):
    path = write_tensors(tmp_path / name, TENSORS)
    monkeypatch.setattr(tensors, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="is larger than 0 MiB; expected a file of weights"):
        known(path)
