"""Turns a folder with a sub-folder of pictures for each class into a data set that every command takes."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fmnist.data import shape
from fmnist.data.dataset import CLASSES_FILE, read_folder
from fmnist.data.idx import write_idx
from fmnist.data.preparation import PHOTO, PREPARATION_FILE, Preparation, border
from fmnist.data.sources import FILE_NAMES
from fmnist.data.split import split_indices
from fmnist.errors import InputError, RunError, listed
from fmnist.images.decoding import decode
from fmnist.images.folders import find_classes
from fmnist.images.recipe import contained, flatten, prepare

SIDE = 28
KEPT_SIDE = 64  # pictures that all have one size up to this keep it
# A picture has colour if in this share of its pixels the channels are further apart than so many levels: a scanner and
# JPEG's rounding make less of grey.
_COLOURED, _TINT = 0.001, 16


def import_folder(
    folder: Path,
    target: Path,
    *,
    image_shape: tuple[int, int] | None = None,
    colour: bool | None = None,
    photos: bool = False,
    invert: bool | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a folder of pictures as a data set: four IDX files, `classes.txt` and `preparation.json`.

    Args:
        folder: holds a sub-folder for each class, named like it; pictures may lie deeper, and links are followed.
            Hidden files, and what file managers leave behind, are left out. Or it holds the parts of a data set, such
            as `train/`, `val/` and `test/`, with such sub-folders in each: then that split is kept. The part for
            validation joins the training pictures, of which each run puts some aside; without a part for the test it
            is the test set. Parts without sub-folders for classes are left out.
        target: the folder to make.
        image_shape: height and width in pixels; by default the pictures' own if all have one size of at most 64 × 64,
            else 28 × 28.
        colour: keep the pictures' colours, or make all of them grey; by default they are kept if any picture has some.
        photos: turn each picture into the data set's form with `prepare`, rather than shrink it to fit, as a whole.
        invert: negate every picture; by default if they are grey and the borders are light in most of them. Photos are
            always negated as `prepare` decides, and pictures in colour never.
        test_fraction: share of each class kept for the test, above 0 and below 1, where the folder has no test part.
        seed: decides the split and the order.
        strict: refuse the folder if a picture cannot be read, or a sub-folder holds none.
        progress: called as `progress(done, total)` after each picture.

    Returns:
        `folder`, `images`, `train`, `test` (numbers), `class_names`, `class_counts`, `image_shape` ([H, W], or in
        colour [H, W, 3]), `inverted`, and `unreadable`: for each picture and sub-folder left out its path and why;
        `passed_over`: the files that are no pictures by their names; `test_in_train`: the number of pictures that are
        in both parts, byte for byte; `parts`: the names of the folder's own parts that became `train` and `test`, or
        None.

    Raises:
        InputError: the folder has no such form, pictures in colour are to be inverted, a class would have no
            picture in training or test, `target` holds something already, or, with `strict`, a picture cannot be read.
        RunError: the data set cannot be written.
    """
    found = find_classes(folder)
    unreadable = found.unreadable
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already; choose another folder, or remove it")
    made: list[dict[int, np.ndarray]] = []  # each picture by its channels, of both kinds until one has colour
    channels = {None: (1, 3), False: (1,), True: (3,)}[colour]
    labels: list[int] = []
    tested: list[bool] = []
    names = tuple(found.pictures)
    files = [(names.index(name), *each) for name, paths in found.pictures.items() for each in paths]
    for done, (label, path, for_test) in enumerate(files, 1):
        try:
            picture = decode(path)
            if len(channels) == 2 and _has_colour(picture):
                channels = (3,)
            made.append({number: _picture(picture, image_shape, number, photos) for number in channels})
            labels.append(label)
            tested.append(for_test)
        except InputError as error:
            unreadable.append({"image": str(path), "problem": str(error)})
        if progress:
            progress(done, len(files))
    if strict and unreadable:
        raise InputError(listed("these cannot be read", [row["problem"] for row in unreadable]))
    if invert and channels[0] == 3:
        raise InputError(f"{folder}: pictures in colour are not negated; leave `invert` out, or make them grey")
    pictures = [one[channels[0]] for one in made]
    sizes = {picture.shape[:2] for picture in pictures}
    size = *(image_shape or (sizes.pop() if len(sizes) == 1 else (SIDE, SIDE))), channels[0]
    # The data set's form has dark borders, where it is grey.
    light = size[2] == 1 and bool(pictures) and bool(np.median([border(picture) for picture in pictures]) > 127.5)
    inverted = None if photos else light if invert is None else invert
    images = np.array([contained(picture, size) for picture in pictures], np.uint8).reshape(-1, *size)
    if inverted:
        images = 255 - images
    truth = np.array(labels, np.uint8)
    split = bool(found.parts and found.parts["test"])
    if split:
        train, test = np.flatnonzero(~np.array(tested, bool)), np.flatnonzero(tested)
    else:
        train, test = split_indices(truth, test_fraction, seed)
    counts = np.bincount(truth, minlength=len(names))
    if any(len(np.unique(truth[part])) < len(names) for part in (train, test)):
        told = f"{folder}: {_too_few(dict(zip(names, counts.tolist(), strict=True)), test_fraction, split)}"
        raise InputError("\n  ".join([told, *(row["problem"] for row in unreadable)]))
    train, test = (np.random.default_rng(seed).permutation(part) for part in (train, test))
    how = Preparation("photo" if photos else "whole", bool(inverted))
    _write(target, [images[train], truth[train], images[test], truth[test]], names, how)
    return {
        "folder": str(target),
        "images": len(images),
        "train": len(train),
        "test": len(test),
        "class_names": list(names),
        "class_counts": counts.tolist(),
        "image_shape": shape.stored(size),
        "inverted": inverted,
        "unreadable": unreadable,
        "passed_over": found.passed_over,
        "parts": found.parts,
        "test_in_train": len({*map(bytes, images[test])} & {*map(bytes, images[train])}),
    }


def _too_few(counts: dict[str, int], test_fraction: float, split: bool) -> str:
    """Say what is missing where not every class has pictures for training and for the test."""
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if split:
        return f"expected readable pictures of each class in the part for training and in that for the test; has {told}"
    least, needed = min(counts.values()), math.ceil(1 / min(test_fraction, 1 - test_fraction))
    share = min(math.ceil(100 / least) / 100, 0.5) if least > 1 else 0
    mend = f", or a `test_fraction` of {share}" if share else ""
    expected = f"`test_fraction={test_fraction}` needs {needed} readable pictures of each class"
    return f"{expected}, so that some are for training and some for the test; has {told}; add pictures{mend}"


def _has_colour(picture: Image.Image) -> bool:
    return "RGB" in picture.mode and bool((np.ptp(flatten(picture, 255, 3), axis=2) > _TINT).mean() > _COLOURED)


def _picture(picture: Image.Image, image_shape: tuple[int, int] | None, channels: int, photos: bool) -> np.ndarray:
    """Return a picture in the data set's size; a small one in its own, while it is not known whether all have it."""
    size = *(image_shape or (SIDE, SIDE)), channels
    if photos:
        return prepare(picture, size, PHOTO)
    levels = flatten(picture, 255, channels)
    return levels if image_shape is None and max(picture.size) <= KEPT_SIDE else contained(levels, size)


def _write(target: Path, arrays: list[np.ndarray], names: tuple[str, ...], how: Preparation) -> None:
    """Write the files into a new folder beside the target, read them back, and rename it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            for name, array in zip(FILE_NAMES, arrays, strict=True):
                write_idx(fresh / f"{name}.gz", shape.without_channel(array) if array.ndim == 4 else array)
            (fresh / CLASSES_FILE).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            (fresh / PREPARATION_FILE).write_text(json.dumps(asdict(how)) + "\n", encoding="utf-8")
            read_folder(fresh)
            os.chmod(fresh, 0o755)
            if target.exists():
                target.rmdir()
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
