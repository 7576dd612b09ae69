"""Keras files made to do harm: they run code, read or write elsewhere, or ask for more memory than there is.

Each is a working model but for the harm, so that nothing but the defence refuses it. What they run would write a file
`canary` into the folder that the environment variable CANARY names.
"""

import io
import json
import os
import pickle
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

SHAPE = (4, 6)
CLASSES = 3
CANARY_MODULE = """import os, pathlib
pathlib.Path(os.environ["CANARY"], "canary").touch()
class Evil:
    @classmethod
    def from_config(cls, config):
        return cls()
def touch(*arguments, **settings):
    pathlib.Path(os.environ["CANARY"], "canary").touch()
"""


class Pickled:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ('touch "$CANARY/canary"',)


def keras_file() -> bytes:
    """A small working model."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((*SHAPE, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def hdf5(fill: Callable) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as content:
        fill(content)
    return buffer.getvalue()


def keras_files(base: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of hostile `.keras` files, made from a working one."""
    members = _members(base)
    config = json.loads(members["config.json"])

    def with_config(change: Callable[[dict], None], **others: bytes) -> bytes:
        changed = json.loads(json.dumps(config))
        change(changed)
        return _archive(members | {"config.json": json.dumps(changed).encode()} | others)

    def layer(number: int, **fields) -> Callable[[dict], None]:
        return lambda model: model["config"]["layers"][number].update(fields)

    def setting(number: int, **fields) -> Callable[[dict], None]:
        return lambda model: model["config"]["layers"][number]["config"].update(fields)

    evil = {"module": "canary_module", "class_name": "Evil", "config": {}, "registered_name": None}
    code = {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}}
    yield "lambda layer", with_config(layer(1, class_name="Lambda", config={"function": code}))
    yield "lambda activation", with_config(setting(3, activation=code))
    yield "unknown class", with_config(layer(2, class_name="Flattened"))
    yield "foreign module", with_config(layer(2, **evil))
    yield "foreign module, registered", with_config(layer(2, **evil | {"registered_name": "canary>Evil"}))
    yield "foreign registered name", with_config(layer(2, registered_name="canary>Flatten"))
    yield "foreign module as a precision", with_config(setting(2, dtype=evil | {"class_name": "DTypePolicy"}))
    yield "foreign module as a tuple", with_config(setting(2, name=evil | {"class_name": "__tuple__"}))
    yield "foreign initializer", with_config(setting(3, kernel_initializer=evil))
    yield (
        "foreign module in the compile settings of a network inside",
        with_config(lambda model: model["config"]["layers"].insert(3, _inner(evil))),
    )
    function = {"class_name": "function", "config": "touch", "module": "canary_module", "registered_name": "touch"}
    yield "function as activation", with_config(setting(3, activation=function))
    yield (
        "get_file",
        with_config(layer(2, class_name="get_file", module="keras.utils", config={"origin": "file:///etc/passwd"})),
    )
    yield "TFSMLayer", with_config(layer(2, class_name="TFSMLayer", config={"filepath": "/tmp"}))
    yield (
        "TextVectorization",
        with_config(layer(2, class_name="TextVectorization", config={"vocabulary": "/etc/passwd"})),
    )
    yield "list for a class", with_config(layer(2, class_name=["Flatten"]))
    yield "path upwards", _archive(members | {"../../canary": b"x"})
    yield "absolute path", _archive(members | {"/tmp/canary": b"x"})
    yield "assets", _archive(members | {"assets/x.txt": b"x"})
    yield "link", _with_link(members)
    yield "member twice", _twice(members)
    zeros = members | {"model.weights.h5": bytes(300 * 2**20)}
    yield "archive bomb", _archive(zeros, zipfile.ZIP_DEFLATED)
    yield "deep configuration", _archive(members | {"config.json": b'{"a":' * 50_000 + b"1" + b"}" * 50_000})
    yield "many layers", with_config(lambda model: model["config"].update(layers=model["config"]["layers"] * 800))
    yield "large configuration", _archive(members | {"config.json": json.dumps({"a": "x" * 3 * 2**20}).encode()})
    yield "huge layer", with_config(setting(3, units=10**9))
    yield (
        "huge pictures",
        with_config(
            lambda model: model["config"]["layers"].insert(2, _stock("UpSampling2D", "large", size=[30_000, 30_000]))
        ),
    )
    yield "huge input", with_config(setting(0, batch_shape=[None, 10**6, 10**6, 1]))
    import h5py

    for name, fill in {
        "weights behind a link to a file": lambda content: content.__setitem__(
            "x", h5py.ExternalLink("/etc/passwd", "/x")
        ),
        "weights behind a link": lambda content: content.__setitem__("x", h5py.SoftLink("/y")),
        "weights in another file": lambda content: content.create_dataset(
            "x", (4,), "f4", external=[("/etc/hostname", 0, 16)]
        ),
        "weights put together from another file": _virtual,
        "weights behind thousands of groups": lambda content: content.create_group("/".join("x" * 1500)),
        "weights of four terabytes": lambda content: content.create_dataset("x", (2**40,), "f4", chunks=(2**20,)),
    }.items():
        yield name, _archive(members | {"model.weights.h5": hdf5(fill)})
    yield "cut short", base[: len(base) // 2]
    yield "pickle named .keras", pickle.dumps(Pickled())


def _stock(kind: str, name: str, **settings) -> dict:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    config = {"name": name, "trainable": True, "dtype": policy, "data_format": "channels_last", **settings}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def _inner(evil: dict) -> dict:
    inner = _stock("Sequential", "inner", layers=[_stock("Flatten", "flat")])
    return inner | {"module": "keras", "compile_config": {"optimizer": evil, "loss": "mse"}}


def _virtual(content) -> None:
    import h5py

    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    content.create_virtual_dataset("x", layout)


def _with_link(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if name == "model.weights.h5":
                info.create_system, info.external_attr, content = 3, (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            archive.writestr(info, content)
    return buffer.getvalue()


def _twice(members: dict[str, bytes]) -> bytes:
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in [*members.items(), ("config.json", b"{}")]:
            archive.writestr(name, content)
    return buffer.getvalue()
