"""Reads tensors by name from a file of weights: safetensors, or the one PyTorch file that is known by its SHA-256.

PyTorch's files are pickles, and a pickle may call anything. So none is unpickled but the known one, and that only with
the names that it needs.
"""

import collections
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import InputError, RunError

MAX_BYTES = 256 * 2**20


def read_tensors(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Return the tensors of a file, by name.

    The file ends in `.safetensors`, or is the one in PyTorch's form whose SHA-256, in hexadecimal, is given.

    Raises:
        InputError: the file cannot be read, is larger than 256 MiB, damaged, or another one in PyTorch's form.
        RunError: the package that reads safetensors is not installed.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; expected a file of weights")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path, content)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{path} is neither a .safetensors file nor the known one (its SHA-256 is {digest[:12]}…, expected "
            f"{sha256[:12]}…). No other file of PyTorch's is opened, since it may run code. If you trust it, save its "
            "tensors again with PyTorch: import torch; from safetensors.torch import save_file; "
            f"save_file(torch.load({path.name!r}, weights_only=True), {path.stem + '.safetensors'!r})"
        )
    return _unpickled(content)


def _safetensors(path: Path, content: bytes) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, numpy
    except ImportError as error:
        raise RunError(f"reading {path} needs safetensors; install it with: pip install 'fmnist[transfer]'") from error
    try:
        found: dict[str, np.ndarray] = numpy.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no safetensors file of numbers that NumPy has: {error}") from error
    return found


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """Return a view of a storage; NumPy raises an error unless all of it lies within."""
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage.data, offset * size, tuple(stride * size for stride in strides))


ALLOWED = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """Knows the names that a dictionary of tensors needs, and no other; collects its storages, whose numbers follow."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (found := ALLOWED.get(f"{module}.{name}")) is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of a tensor")
        return found

    def persistent_load(self, identity: Any) -> np.ndarray:
        _, dtype, key, _, length, _ = identity
        return self.storages.setdefault(key, np.empty(length, dtype))


def _unpickled(content: bytes) -> dict[str, np.ndarray]:
    """Read PyTorch's form before version 1.6: three facts, the tensors, the storages' keys; then each one's numbers."""
    stream = io.BytesIO(content)
    readers = [_Unpickler(stream) for _ in range(5)]
    *_, found, keys = [reader.load() for reader in readers]
    for key in keys:
        length, numbers = int.from_bytes(stream.read(8), "little"), readers[3].storages[key]
        if length != numbers.size or stream.readinto(numbers.data) != numbers.nbytes:
            raise ValueError(f"the file ends within, or differs in, storage {key}")
    return dict(found)
