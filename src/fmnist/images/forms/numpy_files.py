"""Finds images and labels in an .npz file or a folder of .npy files by the names of the arrays. Opens no pickle."""

import math
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fmnist.data.dataset import CLASSES_FILE, read_class_names
from fmnist.data.idx import MAX_BYTES, unpacks_too_far
from fmnist.errors import InputError, first_line
from fmnist.images.forms.arrays import as_images, as_labels
from fmnist.images.forms.found import Found, Reading, joined, numbered, part_in
from fmnist.text import plain, some

_WORDS = {
    "images": {"x", "image", "images", "data", "picture", "pictures", "pixels"},
    "labels": {"y", "label", "labels", "target", "targets", "class", "classes"},
}
_EXPECTED = "expected names such as x_train, y_train, x_test, y_test, or train_images, train_labels, or images, labels"


def find_npz(path: Path, reading: Reading) -> Found | None:
    """Return the images of an .npz file, as Keras, MedMNIST and `numpy.savez` keep them."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_header(archive, member, f"{path}, {plain(member.filename)}")
            if unpacks_too_far(sum(member.file_size for member in archive.infolist()), path.stat().st_size):
                raise InputError(f"{path}: unpacks to over 100 times its size; expected images")
        with np.load(path, allow_pickle=False) as arrays:
            return _found(path, path.parent, arrays, reading)
    except InputError:
        raise
    except Exception as error:  # damaged members, and the header's text, have errors of many kinds
        raise InputError(f"{path}: is no readable .npz file: {first_line(error)}") from error


def find_npy(folder: Path, reading: Reading) -> Found | None:
    """Return the images in a folder with an .npy file of images and one of labels, or with two of each part."""
    arrays = {}
    for path in sorted(folder.glob("*.npy")) if folder.is_dir() else ():
        try:
            arrays[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)  # nothing is read before it is used
        except Exception as error:  # NumPy reads the header with Python's parser, which has errors of its own
            raise InputError(f"{path}: is no readable .npy array of numbers: {first_line(error)}") from error
    return _found(folder, folder, arrays, reading) if arrays else None


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> None:
    """Refuse an array before it takes memory."""
    with archive.open(member) as stream:
        version = npy_format.read_magic(stream)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise InputError(f"{name}: holds Python objects, pickles that can carry code; expected numbers or text")
    if math.prod(shape) * dtype.itemsize > min(member.file_size, MAX_BYTES):
        promised = f"its header promises {shape} values of {dtype}"
        raise InputError(f"{name}: {promised}, more than the file has or than {MAX_BYTES:,} bytes")


def _found(where: Path, folder: Path, arrays: Mapping[str, NDArray[np.generic]], reading: Reading) -> Found:
    """Return the images of arrays, whose names tell what they are; the folder may have names for the classes."""
    names = read_class_names(folder / CLASSES_FILE)
    parts = []
    for part, pair in _pairs(arrays, str(where)).items():
        told = {kind: f"{where}, {pair[kind]}" for kind in pair}
        images, notes = as_images(arrays[pair["images"]], told["images"], reading.channels, reading.white)
        labels = as_labels(arrays[pair["labels"]], told["labels"], names)
        if len(images) != len(labels):
            counts = f"{len(labels):,} labels for {len(images):,} images"
            raise InputError(f"{told['labels']}: has {counts}; expected a label an image")
        notes += [f"the names of the classes are those of {folder / CLASSES_FILE}"] if names else []
        pictures = numbered(images, told["images"])
        parts.append(Found(labels, pictures, [part] * len(labels), images.shape[-1], names or (), notes))
    return joined(parts)


def _pairs(names: Iterable[str], where: str) -> dict[str, dict[str, str]]:
    """Return for each part, or for the one without a name, which array has its images and which its labels."""
    names, pairs = list(names), dict[str, dict[str, str]]()
    for name in names:
        words = set(re.findall("[a-z]+", name.lower()))
        kinds = [kind for kind, known in _WORDS.items() if words & known and "names" not in words]
        if len(kinds) == 1:
            pair = pairs.setdefault(part_in(name), {})
            if kinds[0] in pair:
                raise InputError(f"{where}: {pair[kinds[0]]} and {name} could both be the {kinds[0]}; leave one out")
            pair[kinds[0]] = name
    held = f"it holds {plain(some(names, 8)) or 'nothing'}"
    if not pairs:
        raise InputError(f"{where}: {held}; {_EXPECTED}")
    for part, pair in pairs.items():
        if lacking := _WORDS.keys() - pair.keys():
            (kind,) = lacking
            like = [other[kind].replace(name, part) for name, other in pairs.items() if name and kind in other]
            lacks = f"lacks {plain((like or [kind])[0])} beside {plain(pair[min(pair)])}"
            raise InputError(f"{where}: {lacks}; {held}; {_EXPECTED}")
    return pairs
