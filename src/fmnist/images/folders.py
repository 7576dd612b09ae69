"""Finds the classes in a folder of pictures, and the split that it has, if any. Reads no picture."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fmnist.errors import InputError
from fmnist.images.reading import NO_PICTURE, is_clutter, walk
from fmnist.text import plural

MAX_CLASSES = 256  # labels are bytes
# The words of a folder's name that call it a part of a data set.
_PARTS = {
    "train": {"train", "training", "trainset"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing", "testset", "eval", "evaluation"},
    "unlabelled": {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"},
}


@dataclass
class Found:
    """What lies in a folder."""

    pictures: dict[str, list[tuple[Path, bool]]]  # by class: each picture, and whether it is for the test
    unreadable: list[dict[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)  # files that are no pictures by their names
    parts: dict[str, list[str]] | None = None


def find_classes(folder: Path) -> Found:
    """Return the pictures of each class in a folder, the classes sorted, numbers by their value."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected one with a sub-folder of pictures for each class")
    inside = _subfolders(folder)
    kinds = {path: _part(path.name) for path in inside}
    filled = {path: kind for path, kind in kinds.items() if walk(path)[0]} if any(kinds.values()) else {}
    if not filled or not all(filled.values()):
        return _classes(folder, dict.fromkeys(inside, False))
    return _given_split(folder, filled)


def _given_split(folder: Path, kinds: dict[Path, str | None]) -> Found:
    """Return the pictures of a folder whose sub-folders are the parts of a data set, each with its kind."""
    classes = {path: _subfolders(_opened(path)) for path in kinds}
    labelled = [path for path, kind in kinds.items() if len(classes[path]) > 1 and kind != "unlabelled"]
    known = {one.name for path in labelled if kinds[path] == "train" for one in classes[path]}
    held = " and ".join(sorted(path.name for path in kinds))
    if not known:
        example = folder / min(path.name for path in kinds)
        told = f"{folder} holds {held}, which look like splits, not classes"
        raise InputError(f"{told}; give the folder that has the classes in it, such as {example}")
    if strange := {one.name for path in labelled for one in classes[path]} - known:
        told = f"{', '.join(sorted(strange))} in no part for training"
        raise InputError(f"{folder} holds {held}, and the class {told}; expected the classes of the training part")
    test = "test" if any(kinds[path] == "test" for path in labelled) else "val"
    found = _classes(folder, {one: kinds[path] == test for path in labelled for one in classes[path]})
    for path in kinds.keys() - set(labelled):
        told = f"{path}: {plural(len(walk(path)[0]), 'picture')} of no known class"
        found.unreadable.append({"image": str(path), "problem": told})
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for path in labelled:
        parts["test" if kinds[path] == test else "train"].append(path.name)
    found.parts = parts
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))


def _opened(folder: Path) -> Path:
    """Return the folder inside a folder that holds nothing else, as archives make them: `seg_test/seg_test`."""
    inside = [path for path in folder.iterdir() if not is_clutter(path.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _part(name: str) -> str | None:
    """Return which part of a data set a folder's name calls it, if any."""
    words = set(re.split(r"[\W\d_]+", name.lower()))
    return next((part for part, known in _PARTS.items() if words & known), None)


def _classes(folder: Path, places: dict[Path, bool]) -> Found:
    """Return the pictures of each class, which lie in folders named like it: each folder for the test or not."""
    found: dict[str, list[tuple[Path, bool]]] = {}
    unreadable: list[dict[str, str]] = []
    passed_over: list[str] = []
    for place, for_test in places.items():
        pictures, others = walk(place)
        passed_over += map(str, others)
        if pictures:
            found.setdefault(place.name, []).extend((path, for_test) for path in pictures)
        else:
            unreadable.append({"image": str(place), "problem": f"{place}: {NO_PICTURE}"})
    names = list(found)
    if len(names) < 2 or len(names) > MAX_CLASSES:
        expected = f"expected one for each class, 2 to {MAX_CLASSES}"
        raise InputError(f"{folder} has {plural(len(names), 'sub-folder')} with pictures; {expected}")
    if odd := [name for name in names if name != name.strip() or not name.isprintable()]:
        raise InputError(f"{folder}: the sub-folder {odd[0]!r} cannot name a class; rename it")
    names.sort(key=(lambda name: (int(name), name)) if all(name.isdecimal() for name in names) else lambda n: (0, n))
    return Found({name: found[name] for name in names}, unreadable, passed_over)
