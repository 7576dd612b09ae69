"""The forms that data sets come in. The table of them is here, a row a form; all else about a form is in its file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fmnist.errors import InputError
from fmnist.images.forms import (
    archives,
    csv_files,
    folders,
    idx_files,
    numpy_files,
    parquet_files,
    pickles,
    wrappers,
)
from fmnist.images.forms.found import Found, Reading

__all__ = ["FORMS", "Found", "Reading", "recognise"]

MAX_DEPTH = 6  # archives and folders, one inside the other


@dataclass(frozen=True)
class Form:
    """A form of data sets.

    Attributes:
        name: what messages call it.
        holds: what makes a place of this form, for people; empty for what is no form by itself.
        find: returns what lies in a place, a place inside it where to look instead, or None for another form; raises
            `InputError` where the form is this one and something about it is wrong.
    """

    name: str
    holds: str
    find: Callable[[Path, Reading], Found | Path | None]


# In the order in which they are looked for. Where none is found, the last that complains is the nearest.
FORMS = (
    Form("archive", "a `.zip`, `.tar`, `.tar.gz`, `.tar.bz2` or `.tar.xz` of any of these forms", archives.find),
    Form(
        "NPZ file",
        "`x_train`, `y_train`, `x_test`, `y_test` (Keras), or `train_images`, `train_labels`, `val_images`, … "
        "(MedMNIST), or `images`, `labels`",
        numpy_files.find_npz,
    ),
    Form(
        "class folders",
        "a sub-folder of pictures for each class, or `train/`, `val/`, `test/` with such sub-folders",
        folders.find,
    ),
    Form(
        "NPY files",
        "a folder with `X.npy` and `y.npy`, or `images.npy` and `labels.npy`, or `x_train.npy`, `y_train.npy`, …",
        numpy_files.find_npy,
    ),
    Form(
        "Parquet files",
        "a column of picture files and one of labels (Hugging Face); several shards, such as "
        "`train-00000-of-00002.parquet`",
        parquet_files.find,
    ),
    Form(
        "CSV file",
        "a header and a row a picture, with its file and its class; or a label and the pixels of an image in each row "
        "(Kaggle); `train.csv` and `test.csv` in a folder",
        csv_files.find,
    ),
    Form("IDX files", "four IDX files with MNIST's, EMNIST's or torchvision's (`raw/`) names", idx_files.find),
    Form("pickle", "", pickles.find),
    Form("folder in a folder", "", wrappers.find),
)


def recognise(place: Path, reading: Reading, depth: int = 0) -> Found:
    """Return what lies in a place, in whatever form.

    Raises:
        InputError: it has none of the forms; tells the one that it is nearest to, and all forms.
    """
    if not place.exists():
        raise InputError(f"{place} does not exist; expected a data set")
    problems = []
    for form in FORMS:
        try:
            found = form.find(place, reading)
        except InputError as error:
            problems.append(str(error))
            continue
        if isinstance(found, Path) and depth < MAX_DEPTH:
            return recognise(found, reading, depth + 1)
        if isinstance(found, Found):
            found.form = form.name
            return found
    forms = ", ".join(form.name for form in FORMS if form.holds)
    told = problems[-1] if problems else f"{place} is in no form that is known"
    raise InputError(reading.told(f"{told}\n  Known are {forms}: docs/data.md describes them"))
