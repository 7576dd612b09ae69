"""Holds a data set in memory, and reads one from four IDX files."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.data import shape, sources
from fmnist.data.cache import Progress
from fmnist.data.idx import find_idx, parse_idx, read_content
from fmnist.data.preparation import PHOTO, Preparation, read_preparation
from fmnist.errors import InputError
from fmnist.run.directory import read_bounded
from fmnist.text import plain, some

CLASSES_FILE = "classes.txt"
VALIDATION_FILES = ("val-images-idx3-ubyte", "val-labels-idx1-ubyte")
MAX_CLASSES_BYTES = 2**16
_FROM_ONE = "the labels begin at 1, expected 0"
_MEND = "`fmnist.write_idx(path, fmnist.read_idx(path) - 1)` mends a file of labels"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels for training and test.

    Attributes:
        train_images: uint8 (N, H, W, C), 0 to 255; C is 3 in colour, and 1 for grey, which may be given without it.
        train_labels: uint8 (N,), from 0 to `num_classes - 1`.
        test_images: uint8 (M, H, W, C), of the same height, width and channels.
        test_labels: uint8 (M,).
        class_names: a name for each label.
        source: one line on where the data came from.
        sha256: file name -> SHA-256 of its decompressed bytes, in hexadecimal.
        preparation: how pictures became its images, if that is known.
        folder: that it was read from, absolute; None for the official data, wherever that came from.
        num_validation: how many training images, the last ones, came as a part for validation; 0 where none did.
        train_weights: float32 (N,), above 0, how much each training image counts in the loss; None: all the same.

    Raises:
        InputError: arrays and names don't fit together; tells every problem at once.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    class_names: tuple[str, ...]
    source: str
    sha256: dict[str, str] = field(default_factory=dict)
    preparation: Preparation | None = None
    folder: Path | None = None
    num_validation: int = 0
    train_weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Give grey images their channel, and check that everything fits together."""
        for name in ("train_images", "test_images"):
            object.__setattr__(self, name, shape.with_channels(getattr(self, name)))
        _raise_all(self.source, _problems(self))

    def __repr__(self) -> str:
        """Sizes and source, not the pixels."""
        counts = f"{len(self.train_images)} training and {len(self.test_images)} test images"
        return f"Dataset({counts}, {shape.told(self.image_shape)}, {self.num_classes} classes, {self.source!r})"

    @property
    def notes(self) -> list[str]:
        """What is odd about the labels, and how to mend it; empty where nothing is."""
        counts = np.bincount(self.train_labels, minlength=self.num_classes)
        empty = [name for name, count in zip(self.class_names, counts, strict=True) if not count]
        if empty == ["0"]:
            return [f"{_FROM_ONE}, so the class 0 has no training image; {_MEND}"]
        return [f"no training image has the class {some(empty, 5)}"] if empty else []

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> shape.Shape:
        """Height and width of every image, in pixels, and its channels: 1 for grey, 3 for colour."""
        return shape.full(self.train_images.shape[1:])


def load_official(*, progress: Progress | None = None) -> Dataset:
    """Return the official Fashion-MNIST, verified by SHA-256 each time.

    It is taken from the user's cache, the system's package, the official addresses or the distribution's package,
    whichever has it first.

    Args:
        progress: called as `progress(received_bytes, total_bytes or None, label)` while data is fetched.

    Raises:
        RunError: no source had the files.
    """
    official = sources.obtain(progress=progress)
    train_x, train_y, test_x, test_y = (parse_idx(official.contents[name], name=name) for name in sources.FILE_NAMES)
    names, digests = sources.OFFICIAL_CLASS_NAMES, sources.official_sha256()  # which obtain has verified
    return Dataset(train_x, train_y, test_x, test_y, names, official.source, digests, PHOTO)


def read_folder(folder: str | os.PathLike[str], *, named_by: str = "the data folder given") -> Dataset:
    """Return the data set in a folder of four IDX files under MNIST's names, each gzipped or not, grey or in colour.

    The names of the classes are the lines of `classes.txt`, if it is there; else, if the files are the official
    Fashion-MNIST, its names; else 0, 1, ... up to the largest label. How pictures became its images says
    `preparation.json`, which `import_data` writes; without it, photos are made like them: light on black, or negated
    where their borders are light; in colour they are taken as a whole.

    Args:
        folder: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
            `t10k-labels-idx1-ubyte`, with or without `.gz`, or spelled like `train-images.idx3-ubyte` or as EMNIST
            does; or a folder in it does, or one in that, such as torchvision's `FashionMNIST/raw`. If
            `val-images-idx3-ubyte` and `val-labels-idx1-ubyte` lie beside them, runs validate on these.
        named_by: what named the folder, for messages.

    Raises:
        InputError: files are missing, damaged, or don't fit together; tells every problem at once.
    """
    folder = Path(folder)
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} ({named_by}) {state}; expected a folder with {', '.join(sources.FILE_NAMES)}")
    folder = _holding(folder)
    own = VALIDATION_FILES if any(find_idx(folder, name) for name in VALIDATION_FILES) else ()
    arrays, digests, problems = [], {}, []
    for name in (*sources.FILE_NAMES, *own):
        try:
            path = find_idx(folder, name)
            if path is None:
                raise InputError(f"{name} is missing; expected under this name, with or without .gz")
            content = read_content(path, name=path.name)
            arrays.append(parse_idx(content, name=path.name, ndim=3 if "images" in name else 1))
            digests[name] = hashlib.sha256(content).hexdigest()
        except InputError as error:
            problems.append(str(error))
    try:
        names = read_class_names(folder / CLASSES_FILE)
        told = read_preparation(folder)
    except InputError as error:
        problems.append(str(error))
    _raise_all(str(folder), problems)
    train_x, train_y, test_x, test_y, *validation = arrays
    if validation:
        train_x, train_y = _joined((train_x, train_y), validation, str(folder))
    if names is None and digests == sources.official_sha256():
        names = sources.OFFICIAL_CLASS_NAMES
    elif names is None:
        largest = max((int(labels.max()) for labels in (train_y, test_y) if labels.size), default=-1)
        names = tuple(str(label) for label in range(largest + 1))
    prepared = told or Preparation.of(shape.with_channels(train_x))
    known = (names, str(folder), digests, prepared, folder.resolve())
    return Dataset(train_x, train_y, test_x, test_y, *known, num_validation=len(validation[1]) if validation else 0)


def _joined(training: Sequence[np.ndarray], validation: Sequence[np.ndarray], where: str) -> list[np.ndarray]:
    """Return training images and labels, with those for validation behind them."""
    (train_x, train_y), (val_x, val_y) = training, validation
    if (val_x.shape[1:], len(val_x), len(train_x)) != (train_x.shape[1:], len(val_y), len(train_y)):
        told = f"validation: images {val_x.shape} and labels {val_y.shape} beside training images {train_x.shape}"
        _raise_all(where, [f"{told} and labels {train_y.shape}; expected images of one size, and a label an image"])
    return [np.concatenate(pair) for pair in zip(training, validation, strict=True)]


def holds_idx(folder: Path) -> bool:
    """Whether there is an IDX file, by its name, in a folder, in one in it, or in one in that."""
    return bool(_holders(folder))


def _holders(folder: Path) -> list[Path]:
    files = "*idx?-ubyte*"
    if any(folder.glob(files)):
        return [folder]
    return sorted({path.parent for pattern in ("*/", "*/*/") for path in folder.glob(pattern + files)})


def _holding(folder: Path) -> Path:
    """Return the folder itself if it holds IDX files, else the only one that does, in it or in a folder in it."""
    found = _holders(folder)
    if len(found) > 1:
        names = some([str(path.relative_to(folder)) for path in found], 5)
        raise InputError(f"{folder} holds several data sets, {names}; name the folder of one")
    return found[0] if found else folder


def read_class_names(path: Path) -> tuple[str, ...] | None:
    """Return the names in a `classes.txt`, one a line, or `None` where there is no such file."""
    try:
        lines = read_bounded(path, MAX_CLASSES_BYTES).decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as UTF-8 text: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def _problems(data: Dataset) -> list[str]:
    """Return what is wrong with a data set, a line a problem."""
    problems = []
    splits = (("training", data.train_images, data.train_labels), ("test", data.test_images, data.test_labels))
    for split, images, labels in splits:
        if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.uint8 or labels.ndim != 1:
            given = f"images are {images.dtype} {images.shape} and labels {labels.dtype} {labels.shape}"
            problems.append(f"{split}: {given}; expected uint8 (N, H, W) or (N, H, W, 3), and uint8 (N,)")
        elif images.shape[-1] not in (1, 3):
            problems.append(f"{split}: images have {images.shape[-1]} channels; expected 1 for grey or 3 for colour")
        elif not images.size:
            problems.append(f"{split}: images of shape {images.shape} hold no pixel; expected at least one image")
        elif len(images) != len(labels):
            problems.append(f"{split}: {len(images):,} images but {len(labels):,} labels; expected a label an image")
        elif labels.max() >= data.num_classes:
            told = f"{split}: label {labels.max()} has no name; {data.num_classes} class names are for the labels "
            told += f"0 to {data.num_classes - 1}, so "
            one_on = labels.min() == 1 and labels.max() == data.num_classes
            lines = f"{CLASSES_FILE} needs at least {labels.max() + 1} lines"
            problems.append(told + (f"{_FROM_ONE}; {_MEND}" if one_on else lines))
    weights = data.train_weights
    if weights is not None and (weights.shape != data.train_labels.shape or not (weights > 0).all()):
        problems.append(
            f"training: weights {weights.shape}, expected one above 0 for each of {len(data.train_labels):,} labels"
        )
    train, test = data.train_images.shape[1:], data.test_images.shape[1:]
    if not problems and train != test:
        sizes = [shape.told(shape.full(part)) for part in (train, test)]
        problems.append(f"training images are {sizes[0]} but test images {sizes[1]}; expected one size")
    if odd := [name for name in data.class_names if plain(name) != name]:
        problems.append(f"the class name {odd[0]!r} holds control characters; expected text to show")
    if data.num_classes < 2:
        problems.append(f"there are {data.num_classes} classes; expected at least 2")
    if repeated := sorted({name for name in data.class_names if data.class_names.count(name) > 1}):
        problems.append(f"class names occur more than once: {', '.join(repeated)}; expected different names")
    return problems


def _raise_all(where: str, problems: list[str]) -> None:
    if problems:
        raise InputError("\n".join([f"the data in {where} cannot be used:", *(f"  - {text}" for text in problems)]))
