"""Writes files in PyTorch's older form without PyTorch, for the tests of the function that reads one."""

import io
import pickle
import sys
import types

import numpy as np

KINDS = {"FloatStorage": np.dtype(np.float32), "LongStorage": np.dtype(np.int64)}
# The first pickle of such a file, and the second.
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


def write_tensors(path, tensors, *, wrap=lambda state: state, kinds=KINDS):
    """Write arrays as `torch.save` did before version 1.6; `wrap` may put something else in the dictionary's place."""
    fakes = {"torch": types.ModuleType("torch"), "torch._utils": types.ModuleType("torch._utils")}
    for name in kinds:
        setattr(fakes["torch"], name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2(*_):
        raise NotImplementedError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    fakes["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Tensor:
        def __init__(self, storage):
            array = storage.array
            strides = tuple(stride // array.itemsize for stride in array.strides)
            self.place = (storage, 0, array.shape, strides)

        def __reduce__(self):
            return _rebuild_tensor_v2, (*self.place, False, {})

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            kind = next(name for name, dtype in kinds.items() if dtype == item.array.dtype)
            return ("storage", getattr(fakes["torch"], kind), item.key, "cpu", item.array.size, None)

    before = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    try:
        storages = [Storage(str(number), array) for number, array in enumerate(tensors.values())]
        state = {name: Tensor(storage) for name, storage in zip(tensors, storages, strict=True)}
        stream = io.BytesIO()
        for content in (MAGIC, VERSION, {"little_endian": True}):
            pickle.dump(content, stream, protocol=2)
        Pickler(stream, protocol=2).dump(wrap(state))
        pickle.dump([storage.key for storage in storages], stream, protocol=2)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    for storage in storages:
        # In the order in which they lie in memory, whatever the axes' order.
        numbers = storage.array.T.tobytes() if storage.array.flags.f_contiguous else storage.array.tobytes()
        stream.write(storage.array.size.to_bytes(8, "little") + numbers)
    path.write_bytes(stream.getvalue())
    return path
