"""Checks what fmnist needs: Python, packages, disk, runtimes, Keras and its settings, the data."""

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from fmnist import backend
from fmnist.data import sources
from fmnist.data.cache import Cache, Unavailable, default_cache_dir
from fmnist.data.dataset import Dataset
from fmnist.doctor.check import NOTE, OK, WRONG, Check, attempt
from fmnist.errors import FmnistError, RunError
from fmnist.run import environment, lock

PYTHONS = ((3, 11), (3, 13))
# Room for some runs of the larger networks, in bytes.
ENOUGH_DISK = 2**30
# Set for other programs, these leave most of a processor idle.
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def check_installation(runs_dir: Path) -> Iterator[Check]:
    """Yield what is found, what takes long last."""
    version = ".".join(map(str, sys.version_info[:3]))
    low, high = (".".join(map(str, one)) for one in PYTHONS)
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        yield Check("Python", OK, version)
    else:
        yield Check("Python", WRONG, version, f"make a virtual environment with {low} to {high}")
    yield from _packages()
    yield _disk(runs_dir)
    yield from _runtimes()
    yield from _engine()


def _packages() -> Iterator[Check]:
    """Yield whether the versions that are installed are those that fmnist asks for."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in metadata.requires("fmnist") or ()]
        extras = [name for name in metadata.metadata("fmnist").get_all("Provides-Extra") or () if name != "all"]
    except metadata.PackageNotFoundError:
        yield Check("packages", WRONG, "fmnist runs from its source and is not installed", "pip install --editable .")
        return
    for extra in ("", *extras):
        own = [
            need
            for need in needed
            if need.name != "fmnist"
            and (need.marker is None or need.marker.evaluate({"extra": extra}))
            and (not extra or (need.marker is not None and "extra" in str(need.marker)))
        ]
        missing, wrong = [], []
        for need in own:
            try:
                version = metadata.version(need.name)
            except metadata.PackageNotFoundError:
                missing.append(need.name)
                continue
            if not need.specifier.contains(version, prereleases=True):
                wrong.append(f"{need.name} is {version}, needed is {need.specifier}")
        name, what = (f"packages [{extra}]", f"fmnist[{extra}]") if extra else ("packages", "fmnist")
        mend = f"pip install --upgrade '{what}'"
        if wrong or (missing and not extra):
            yield Check(name, WRONG, "; ".join([*wrong, *(f"{one} is not installed" for one in missing)]), mend)
        elif missing:
            yield Check(name, NOTE, f"not installed: {', '.join(missing)}", f"pip install '{what}', if you need it")
        else:
            yield Check(name, OK, f"{len(own)} of {len(own)} installed")


def _disk(runs_dir: Path) -> Check:
    """Return whether runs can be written, locked, and have room."""
    place = next(folder for folder in (runs_dir.absolute(), *runs_dir.absolute().parents) if folder.is_dir())
    try:
        free = shutil.disk_usage(place).free
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as folder, lock.hold(Path(folder)):
            pass
    except (OSError, RunError) as error:
        return Check("disk", WRONG, f"{place} cannot be written: {error}", "choose another --runs-dir")
    if free < ENOUGH_DISK:
        text = f"{free / 2**20:,.0f} MiB free in {place}"
        return Check("disk", WRONG, text, "make room, or choose another --runs-dir")
    return Check("disk", OK, f"{free / 2**30:,.0f} GiB free in {place}")


def _runtimes() -> Iterator[Check]:
    for name, module in (("LiteRT", "ai_edge_litert.interpreter"), ("ONNX Runtime", "onnxruntime")):
        try:
            with backend.silent_stderr():
                importlib.import_module(module)
        except Exception as error:  # a damaged installation raises anything
            text = f"cannot be loaded: {type(error).__name__}: {error}"
            yield Check(name, WRONG, text, "pip install --force-reinstall ai-edge-litert onnxruntime")
        else:
            yield Check(name, OK, str(metadata.version(module.split(".")[0])))


def _engine() -> Iterator[Check]:
    """Yield whether Keras starts and computes, and which settings make it slow."""
    before = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    try:
        name = backend.prepare()
        import keras
        import numpy as np

        image, kernel = np.ones((1, 4, 4, 1), "float32"), np.ones((3, 3, 1, 1), "float32")
        ones = keras.ops.convert_to_numpy(keras.ops.conv(image, kernel))
        good = ones.shape == (1, 2, 2, 1) and bool((ones == 9).all())
    except FmnistError as error:
        yield Check("engine", NOTE, str(error), "only needed to train, evaluate and export")
        return
    except Exception as error:  # a damaged installation raises anything
        text = f"Keras cannot be loaded: {type(error).__name__}: {error}"
        yield Check("engine", WRONG, text, "pip install --force-reinstall 'fmnist[train]'")
        return
    facts = environment.environment()
    text = f"Keras {facts['keras']} on {name} {facts[name]}, {facts['cores']} cores of {facts['processor']}"
    yield Check("engine", OK if good else WRONG, text, "" if good else "it computes wrongly; install it again")
    if name == "tensorflow" and before == "0":
        text = "TF_ENABLE_ONEDNN_OPTS=0 is set: training takes up to 1.3 times as long"
        yield Check("oneDNN", NOTE, text, "unset TF_ENABLE_ONEDNN_OPTS")
    for variable in _THREADS:
        if os.environ.get(variable) == "1" and facts["cores"] > 1:
            yield Check("threads", NOTE, f"{variable}=1 is set: training may use one core only", f"unset {variable}")


def _told(dataset: Dataset) -> str:
    return "; ".join([repr(dataset), *dataset.notes])


def check_data(data_dir: Path | None) -> Check:
    """Return whether there is data, and whether it is whole. Fetches nothing."""
    from fmnist.images.loading import load_dataset

    given = data_dir or (Path(os.environ["FMNIST_DATA"]).expanduser() if os.environ.get("FMNIST_DATA") else None)
    if given is not None:
        return attempt("data", lambda: _told(load_dataset(given)), "give another folder with --data-dir or FMNIST_DATA")
    cache, damages, missing = Cache(default_cache_dir() / "fashion-mnist"), [], []
    for file in sources.OFFICIAL_FILES:
        try:
            if cache.read(file) is None:
                missing.append(file.name)
        except Unavailable as damage:
            damages.append(str(damage))
    if damages:
        return Check("data", WRONG, f"{'; '.join(damages)} in {cache.folder}", "`fmnist data` fetches it again")
    if missing:
        return Check("data", NOTE, f"not fetched yet: {', '.join(missing)}", "`fmnist data` fetches it")
    return Check("data", OK, f"Fashion-MNIST in {cache.folder}, every byte as published")
