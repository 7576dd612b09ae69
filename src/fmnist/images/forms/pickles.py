"""Names pickles, such as CIFAR's, and says why they are not opened and what to do instead."""

from pathlib import Path

from fmnist.errors import InputError
from fmnist.images.forms.found import Found, Reading

_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_CIFAR = ("data_batch_1", "train", "test_batch")  # the names of CIFAR's pickles have no ending
_START = b"\x80"  # of a pickle of protocol 2 or later


def find(place: Path, _: Reading) -> Found | None:
    """Return None, or raise `InputError` where a place is a pickle or a folder of pickles."""
    inside = [place] if place.is_file() else [path for deep in ("*", "*/*") for path in place.glob(deep)]
    pickles = [path for path in inside if path.name in _CIFAR or path.suffix.lower() in _SUFFIXES]
    if found := next((path for path in sorted(pickles) if path.is_file() and _begins(path)), None):
        reason = "is a Python pickle, which can run code when it is opened, so it is not"
        mend = "if you trust it, open it yourself and save its arrays: numpy.savez('data.npz', x_train=…, y_train=…)"
        raise InputError(f"{found}: {reason}; {mend}")
    return None


def _begins(path: Path) -> bool:
    with open(path, "rb") as handle:
        return handle.read(1) == _START
