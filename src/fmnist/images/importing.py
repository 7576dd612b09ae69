"""Turns pictures in any form of `images/forms/` into four IDX files, the data set that every command takes."""

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
from fmnist.data.dataset import CLASSES_FILE, VALIDATION_FILES, read_folder
from fmnist.data.idx import MAX_BYTES, write_idx
from fmnist.data.preparation import PHOTO, PREPARATION_FILE, Preparation, border
from fmnist.data.sources import FILE_NAMES
from fmnist.data.split import split_indices
from fmnist.errors import InputError, RunError, listed
from fmnist.images.decoding import decode
from fmnist.images.forms import Found, Reading, recognise
from fmnist.images.forms.found import PARTS
from fmnist.images.recipe import contained, flatten, picture, prepare
from fmnist.text import plain, plural, some

SIDE = 28
KEPT_SIDE = 64  # pictures that all have one size up to this keep it
# A picture has colour if in this share of its pixels the channels are further apart than so many levels: a scanner and
# JPEG's rounding make less of grey.
_COLOURED, _TINT = 0.001, 16


def import_data(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    image_shape: tuple[int, int] | None = None,
    colour: bool | None = None,
    photos: bool = False,
    invert: bool | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    channels: str | None = None,
    white: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write pictures in any common form as a data set: four IDX files, `classes.txt` and `preparation.json`.

    Args:
        source: a folder with a sub-folder of pictures for each class, or one of the other forms that docs/data.md
            lists: a CSV, NPZ or Parquet file, a folder of .npy files, an archive of any of these. In folders, pictures
            may lie deeper and links are followed; hidden files, and what file managers leave behind, are left out. If
            it holds parts, such as `train/`, `val/` and `test/`, that split is kept; without a part for the test, that
            for validation is it. Parts without classes are left out.
        target: the folder to make.
        image_shape: height and width in pixels; by default the pictures' own if all have one size of at most 64 × 64,
            else 28 × 28.
        colour: keep the pictures' colours, or make all of them grey; by default they are kept if any picture has some.
            Arrays keep their channels.
        photos: turn each picture into the data set's form with `prepare`, rather than shrink it to fit, as a whole.
        invert: negate every picture; by default if they are grey files and the borders are light in most of them.
            Photos are always negated as `prepare` decides, and pictures in colour never.
        test_fraction: share of each class kept for the test, above 0 and below 1, where there is no test part.
        seed: decides the split and the order.
        strict: refuse the source if a picture cannot be read, or a sub-folder holds none.
        image_column: of a table: the column of the pictures, or of their files' names.
        label_column: of a table: the column of the classes; a name, or a number counted from 1.
        split_column: of a table: the column that says which part a picture belongs to.
        channels: `first` or `last`: where the channels of arrays are.
        white: the value of arrays that is white, while 0 is black.
        progress: called as `progress(done, total)` after each picture.

    Returns:
        `folder`, `form`, `images`, `train`, `val`, `test` (numbers), `class_names`, `class_counts`, `image_shape` ([H,
        W], or in colour [H, W, 3]), `inverted`, and `unreadable`: for each picture and sub-folder left out its path and
        why; `passed_over`: the files that are no pictures by their names; `test_in_train`: the number of pictures of
        the test that are in training too, byte for byte; `parts`: the names of the source's own parts that became
        `train`, `val` and `test`, or None; `guessed`: sentences on what the source does not say.

    Raises:
        InputError: the source has no known form, pictures in colour are to be inverted, a class would have no
            picture in training or test, `target` holds something already, or, with `strict`, a picture cannot be read.
        RunError: the data set cannot be written.
    """
    source, target = Path(source), Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already; choose another folder, or remove it")
    reading = Reading(image_column, label_column, split_column, channels, white)
    with reading.cleanup:
        found = recognise(source, reading)
        names = found.classes(source)
        part_of, parts = found.split(source)
        pictures, read, kept_channels = _read(found, reading, image_shape, colour, photos, progress)
    unreadable = found.unreadable
    if strict and unreadable:
        raise InputError(listed("these cannot be read", [row["problem"] for row in unreadable]))
    if invert and kept_channels == 3:
        raise InputError(f"{source}: pictures in colour are not negated; leave `invert` out, or make them grey")
    sizes = {picture.shape[:2] for picture in pictures}
    size = *(image_shape or (sizes.pop() if len(sizes) == 1 else (SIDE, SIDE))), kept_channels
    # The data set's form has dark borders, where it is grey. Arrays are taken as they are.
    light = size[2] == 1 and not found.channels and _has_light_borders(pictures)
    inverted = None if photos else light if invert is None else invert
    images = np.array([contained(picture, size) for picture in pictures], np.uint8).reshape(-1, *size)
    if inverted:
        images = 255 - images
    place = {name: label for label, name in enumerate(names)}
    truth = np.array([place[found.labels[at]] for at in read], np.uint8)
    split = bool(parts and parts["test"])
    train, val, test = (np.flatnonzero(part_of[read] == part) for part in PARTS)
    if not split:
        train, test = split_indices(truth, test_fraction, seed)
    counts = np.bincount(truth, minlength=len(names))
    if len(np.unique(truth[train])) < len(names) or len(np.unique(truth[test])) < (1 if split else len(names)):
        told = f"{source}: {_too_few(dict(zip(names, counts.tolist(), strict=True)), test_fraction, split)}"
        raise InputError("\n  ".join([told, *(row["problem"] for row in unreadable)]))
    train, val, test = (np.random.default_rng(seed).permutation(part) for part in (train, val, test))
    how = Preparation("photo" if photos else "whole", bool(inverted))
    if found.channels and not photos:
        how = Preparation.of(images)  # arrays say it no more than IDX files do
    written = dict(zip(FILE_NAMES, (images[train], truth[train], images[test], truth[test]), strict=True))
    if len(val):
        written |= dict(zip(VALIDATION_FILES, (images[val], truth[val]), strict=True))
    _write(target, written, names, how)
    return {
        "folder": str(target),
        "form": found.form,
        "images": len(images),
        "train": len(train),
        "val": len(val),
        "test": len(test),
        "class_names": names,
        "class_counts": counts.tolist(),
        "image_shape": shape.stored(size),
        "inverted": inverted,
        "unreadable": unreadable,
        "passed_over": found.passed_over,
        "parts": parts,
        "test_in_train": len({*map(bytes, images[test])} & {*map(bytes, images[train])}),
        "guessed": [reading.told(note) for note in found.notes],
    }


def told(facts: dict[str, Any]) -> list[str]:
    """Return lines on what was guessed and what was left out, for the person who imports; facts of `import_data`."""
    lines = [f"Guessed   {note}" for note in facts["guessed"]]
    lines += [f"Left out  {row['problem']}" for row in facts["unreadable"]]
    if others := facts["passed_over"]:
        lines.append(f"Left out  {plural(len(others), 'file')} with no picture's ending: {some(others, 3)}")
    if same := facts["test_in_train"]:
        same_told = f"{plural(same, 'picture')} of the test set also in training"
        lines.append(f"Beware    {same_told}: scores on it will be too high")
    return [plain(line) for line in lines]


def _read(
    found: Found,
    reading: Reading,
    image_shape: tuple[int, int] | None,
    colour: bool | None,
    photos: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[np.ndarray], list[int], int]:
    """Return the readable pictures, which of all they are, and their channels; the others are added to `found`."""
    total = len(found.labels)
    if image_shape and total * math.prod(image_shape) > MAX_BYTES:
        size = f"{total:,} pictures of {image_shape[0]}×{image_shape[1]} pixels"
        raise InputError(f"{size} take more than {MAX_BYTES:,} bytes; expected a smaller `image_shape`")
    made: list[dict[int, np.ndarray]] = []  # each picture by its channels, of both kinds until one has colour
    channels = {None: (found.channels,) if found.channels else (1, 3), False: (1,), True: (3,)}[colour]
    read = []
    for at, (name, content) in enumerate(found.pictures):
        try:
            if isinstance(content, np.ndarray) and not photos and _fits(content, image_shape, channels[0]):
                made.append({channels[0]: content})  # 100 times as fast as by way of Pillow
            else:
                opened = picture(content) if isinstance(content, np.ndarray) else decode(content, name)
                if len(channels) == 2 and _has_colour(opened):
                    channels = (3,)
                made.append({number: _picture(opened, image_shape, number, photos) for number in channels})
            read.append(at)
        except InputError as error:
            found.unreadable.append({"image": reading.told(name), "problem": reading.told(str(error))})
        if progress:
            progress(at + 1, total)
    return [one[channels[0]] for one in made], read, channels[0]


def _fits(image: np.ndarray, image_shape: tuple[int, int] | None, channels: int) -> bool:
    """Whether an image of an array is in the form that is wanted."""
    kept = image_shape or (image.shape[:2] if max(image.shape[:2]) <= KEPT_SIDE else None)
    return image.shape[:2] == kept and image.shape[2] == channels


def _has_light_borders(pictures: list[np.ndarray]) -> bool:
    return bool(pictures) and bool(np.median([border(picture) for picture in pictures]) > 127.5)


def _too_few(counts: dict[str, int], test_fraction: float, split: bool) -> str:
    """Say what is missing where not every class has pictures for training and for the test."""
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if split:
        return f"expected readable pictures of each class in the part for training, and some for the test; has {told}"
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


def _write(target: Path, arrays: dict[str, np.ndarray], names: list[str], how: Preparation) -> None:
    """Write the files into a new folder beside the target, read them back, and rename it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            for name, array in arrays.items():
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
