"""PyTorch's older file form: the tensors in it and nothing else. Runs nothing that a file asks for.

Such a file is a row of pickles, the last of which lists its storages, and then each storage's numbers. A pickle is a
small program that may call anything, so none is run here: the instructions that a dictionary of tensors needs are
carried out on plain data, names of classes stay names, and any other instruction refuses the file. What a file costs is
bounded by its size: it is read once, and tensors are views of what was read.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import InputError

MAX_BYTES = 256 * 2**20
# The first pickle of such a file, and the second.
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
DTYPES = {"torch.FloatStorage": "<f4", "torch.DoubleStorage": "<f8", "torch.LongStorage": "<i8"}
TENSOR, ORDERED_DICT = "torch._utils._rebuild_tensor_v2", "collections.OrderedDict"
NEWER_FORM = b"PK\x03\x04"

_PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE")
_MARK = object()
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}


@dataclass(frozen=True)
class _Name:
    """The name of a class or function, which is not looked up."""

    text: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a dictionary that PyTorch saved in the older form, its only one before version 1.6.

    Returns:
        Arrays by name, read-only, float32, float64 or int64.

    Raises:
        InputError: the file is missing, larger than 256 MiB, in another form, cut off, or holds anything but tensors.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; expected a file of weights")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if content.startswith(NEWER_FORM):
        raise InputError(
            f"{path} is in PyTorch's newer form; expected the older one: save it again with PyTorch, as "
            "torch.save(torch.load(…), …, _use_new_zipfile_serialization=False)"
        )
    try:
        return _read(io.BytesIO(content))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is no PyTorch file of tensors alone: {error or type(error).__name__}") from error


def _read(stream: io.BytesIO) -> dict[str, np.ndarray]:
    if (magic := _plain(stream)) != MAGIC or (version := _plain(stream)) != VERSION:
        raise ValueError(f"it begins with {str(magic if magic != MAGIC else version)[:40]!r}")
    if not _plain(stream)["little_endian"]:
        raise ValueError("its numbers have the most significant byte first")
    tensors, keys = _plain(stream), _plain(stream)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if sorted(keys) != sorted(storages):
        raise ValueError("the storages that it lists are not those of its tensors")
    numbers = {key: _numbers(stream, storages[key]) for key in keys}
    if stream.read(1):
        raise ValueError("more follows after its last storage")
    return {str(name): _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _numbers(stream: io.BytesIO, storage: _Storage) -> np.ndarray:
    length = int.from_bytes(stream.read(8), "little", signed=True)
    dtype = np.dtype(storage.dtype)
    content = stream.read(max(0, length) * dtype.itemsize)
    if length != storage.length or len(content) != length * dtype.itemsize:
        raise ValueError(f"it ends within, or differs in, storage {storage.key[:40]!r}")
    return np.frombuffer(content, dtype)


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    size = numbers.itemsize
    strides = tuple(stride * size for stride in tensor.strides)
    # Overlaps would let a small file stand for a large tensor. That all of it lies in its storage NumPy checks.
    if math.prod(tensor.shape) > len(numbers) or min(tensor.offset, *tensor.shape, *strides, 0) < 0:
        raise ValueError("a tensor is larger than its storage, or lies before it")
    return np.ndarray(tensor.shape, numbers.dtype, numbers.data, tensor.offset * size, strides)


def _plain(stream: io.BytesIO) -> Any:
    """Carry out one pickle on plain data, and leave the stream behind it."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "GLOBAL":
            stack.append(_Name(str(argument).replace(" ", ".")))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[int(argument or 0)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(_since_mark(stack)))
        elif name == "APPENDS":
            items = _since_mark(stack)
            stack[-1].extend(items)
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "SETITEMS":
            items = _since_mark(stack)
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "SETITEM":
            key, value = stack[-2:]
            del stack[-2:]
            stack[-1][key] = value
        elif name == "BINPERSID":
            stack.append(_storage(*stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        elif name == "BUILD":  # versions of modules, which a state dict carries as an attribute
            stack.pop()
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            raise ValueError(f"it holds the instruction {name}, which no tensor needs")
    raise ValueError("it ends within a pickle")


def _since_mark(stack: list[Any]) -> list[Any]:
    start = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _storage(kind: str, dtype: _Name, key: str, place: str, length: int, view: None = None) -> _Storage:
    if kind != "storage" or view is not None or dtype.text not in DTYPES:
        raise ValueError(f"it holds a {kind} of {dtype.text}, not of {', '.join(DTYPES)}")
    return _Storage(key, DTYPES[dtype.text], length)


def _made(function: _Name, arguments: tuple[Any, ...]) -> Any:
    """Return what a call would have made, if it is one of the two that a dictionary of tensors has."""
    if function.text == ORDERED_DICT and not arguments:
        return {}
    if function.text != TENSOR:
        raise ValueError(f"it asks for {function.text}, which is no tensor")
    storage, offset, shape, strides, *_ = arguments
    return _Tensor(storage, offset, shape, strides)
