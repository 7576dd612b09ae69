"""Looks into a folder that holds nothing but one other folder or one file, as archives and downloads have them."""

from pathlib import Path

from fmnist.images.decoding import SUFFIXES
from fmnist.images.forms.found import Reading
from fmnist.images.reading import is_clutter

_FILES = (".npz", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


def find(folder: Path, _: Reading) -> Path | None:
    """Return the only sub-folder, unless pictures lie in it, or the only archive; texts beside it do not matter."""
    if not folder.is_dir():
        return None
    inside = [path for path in folder.iterdir() if not is_clutter(path.name)]
    inside = [path for path in inside if path.is_dir() or path.suffix.lower() in _FILES]
    if len(inside) != 1 or any(path.suffix.lower() in SUFFIXES for path in inside[0].glob("*")):
        return None
    return inside[0]
