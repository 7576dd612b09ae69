"""Finds the classes in a folder of pictures, and the split that it has, if any. Reads no picture."""

from pathlib import Path

from fmnist.errors import InputError
from fmnist.images.forms.found import MAX_CLASSES, Content, Found, Reading, kind_of_part, sorted_names
from fmnist.images.reading import NO_PICTURE, is_clutter, walk
from fmnist.text import plural


def find(folder: Path, _: Reading) -> Found | None:
    """Return the pictures of each class in a folder, or of each part and class."""
    if not folder.is_dir():
        return None
    inside = _subfolders(folder)
    kinds = {path: kind_of_part(path.name) for path in inside}
    filled = {path: kind for path, kind in kinds.items() if walk(path)[0]} if any(kinds.values()) else {}
    if not filled or not all(filled.values()):
        return _classes(folder, dict.fromkeys(inside, ""))
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
    found = _classes(folder, {one: path.name for path in labelled for one in classes[path]})
    for path in kinds.keys() - set(labelled):
        told = f"{path}: {plural(len(walk(path)[0]), 'picture')} of no known class"
        found.unreadable.append({"image": str(path), "problem": told})
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))


def _opened(folder: Path) -> Path:
    """Return the folder inside a folder that holds nothing else, as archives make them: `seg_test/seg_test`."""
    inside = [path for path in folder.iterdir() if not is_clutter(path.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _classes(folder: Path, places: dict[Path, str]) -> Found:
    """Return the pictures of each class, which lie in folders named like it: each folder of a part, or of none."""
    found: dict[str, list[tuple[Path, str]]] = {}
    unreadable: list[dict[str, str]] = []
    passed_over: list[str] = []
    for place, part in places.items():
        pictures, others = walk(place)
        passed_over += map(str, others)
        if pictures:
            found.setdefault(place.name, []).extend((path, part) for path in pictures)
        else:
            unreadable.append({"image": str(place), "problem": f"{place}: {NO_PICTURE}"})
    if len(found) < 2 or len(found) > MAX_CLASSES:
        expected = f"expected one for each class, 2 to {MAX_CLASSES}"
        raise InputError(f"{folder} has {plural(len(found), 'sub-folder')} with pictures; {expected}")
    rows = [(name, path, part) for name in sorted_names(found) for path, part in found[name]]
    files: list[tuple[str, Content]] = [(str(path), path) for _, path, _ in rows]
    return Found(
        labels=[name for name, _, _ in rows],
        pictures=files,
        parts=[part for _, _, part in rows],
        unreadable=unreadable,
        passed_over=passed_over,
    )
