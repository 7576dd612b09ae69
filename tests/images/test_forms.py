"""Every form of data sets is read, and what is broken is told; archives from anybody do no harm."""

import contextlib
import pickle
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import forms

from fmnist import import_data
from fmnist.data.dataset import read_folder
from fmnist.data.preparation import PHOTO, WHOLE, Preparation
from fmnist.errors import InputError, RunError
from fmnist.images.forms import FORMS, archives

ROOT = Path(__file__).parents[2]
COLOUR, GREY, TWO = forms.parts(), forms.parts(1), forms.parts(names=("train", "test"))
ALL = forms.parts(names=("train",))
MNIST = {part: GREY[part] for part in TWO}


def first(images):
    return np.moveaxis(images, -1, 1)


# name: (a writer of it in a folder, what it is made of, the form, the names of the classes)
GIVEN = {
    "parts of class folders": (lambda at: forms.class_folders(at / "in", COLOUR), COLOUR, "class folders", forms.NAMES),
    "class folders": (lambda at: forms.class_folders(at / "in", ALL), ALL, "class folders", forms.NAMES),
    "CSV of files": (lambda at: forms.csv_of_files(at / "in", COLOUR) / "labels.csv", COLOUR, "CSV file", forms.NAMES),
    "CSV of files, no header": (lambda at: forms.without_header(at / "in", ALL["train"]), ALL, "CSV file", forms.NAMES),
    "folder of a CSV": (lambda at: forms.csv_of_files(at / "in", COLOUR), COLOUR, "CSV file", forms.NAMES),
    "Kaggle's CSV": (lambda at: forms.kaggle(at / "in", GREY), GREY, "CSV file", "01"),
    "CSV of colour": (lambda at: forms.csv_of_pixels(at / "a.csv", *ALL["train"]), ALL, "CSV file", "01"),
    "CSV, no header": (
        lambda at: forms.csv_of_pixels(at / "a.csv", *ALL["train"], header=False), ALL, "CSV file", "01"
    ),
    "CSV, label last": (
        lambda at: forms.csv_of_pixels(at / "a.csv", *ALL["train"], header=False, last=True), ALL, "CSV file", "01"
    ),
    "Keras's NPZ": (lambda at: forms.keras_npz(at / "a.npz", TWO), TWO, "NPZ file", "01"),
    "fractions": (lambda at: forms.keras_npz(at / "a.npz", TWO, lambda x: x / 255), TWO, "NPZ file", "01"),
    "fractions to 255": (lambda at: forms.keras_npz(at / "a.npz", TWO, np.float32), TWO, "NPZ file", "01"),
    "whole numbers": (lambda at: forms.keras_npz(at / "a.npz", TWO, np.int64), TWO, "NPZ file", "01"),
    "channels first": (lambda at: forms.keras_npz(at / "a.npz", TWO, first), TWO, "NPZ file", "01"),
    "rows of pixels": (
        lambda at: forms.keras_npz(at / "a.npz", TWO, lambda x: x.reshape(len(x), -1)), TWO, "NPZ file", "01"
    ),
    "MedMNIST's NPZ": (lambda at: forms.medmnist_npz(at / "a.npz", GREY), GREY, "NPZ file", "01"),
    "NPY files": (lambda at: forms.npy(at / "in", COLOUR), COLOUR, "NPY files", "01"),
    "one pair of NPY files": (lambda at: forms.npy(at / "in", ALL, "{kind}"), ALL, "NPY files", "01"),
    "torchvision's IDX files": (
        lambda at: forms.zipped(at / "a.zip", forms.idx(at / "in", MNIST)), MNIST, "IDX files", "01"
    ),
    "Hugging Face's Parquet": (
        lambda at: forms.hugging_face(at / "in", COLOUR), COLOUR, "Parquet files", forms.NAMES
    ),
    "one Parquet file": (
        lambda at: forms.parquet(at / "a.parquet", *ALL["train"]), ALL, "Parquet files", forms.NAMES
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_every_form(name, tmp_path):
    write, data, form, names = GIVEN[name]
    facts = import_data(write(tmp_path), tmp_path / "out")
    made = read_folder(tmp_path / "out")
    assert facts["form"] == form and made.class_names == tuple(names)
    if len(data) == 1:
        assert (facts["train"], facts["test"], facts["parts"]) == (19, 5, None)
        assert pairs(made, "train", "test") == given(data, *data)
    else:
        assert pairs(made, "train") == given(data, *(part for part in data if part != "test"))
        assert pairs(made, "test") == given(data, "test")


def given(data, *parts):
    return sorted((bytes(image), label) for part in parts for image, label in zip(*data[part], strict=True))


def pairs(dataset, *parts):
    """The images and labels of parts, in an order of their own."""
    return sorted(
        (bytes(image), label)
        for part in parts
        for image, label in zip(getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels"), strict=True)
    )


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_archives_of_every_kind(kind, tmp_path):
    source = forms.class_folders(tmp_path / "in", TWO)
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "x.png").touch()
    pack = forms.zipped if kind == "zip" else forms.tarred
    before = set(Path(tempfile.gettempdir()).glob("fmnist-archive-*"))
    facts = import_data(pack(tmp_path / f"a.{kind}", source), tmp_path / "out")
    assert facts["form"] == "class folders" and (facts["train"], facts["test"]) == (24, 8)
    assert set(Path(tempfile.gettempdir()).glob("fmnist-archive-*")) == before  # nothing stays behind
    import_data(source, tmp_path / "again")
    assert read_folder(tmp_path / "out").sha256 == read_folder(tmp_path / "again").sha256
    import_data(forms.zipped(tmp_path / "b.zip", forms.npy(tmp_path / "arrays", TWO)), tmp_path / "third")


def zip_of(*members):
    def write(path):
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content, mode in members:
                info = zipfile.ZipInfo(name)
                info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
                archive.writestr(info, content)
        return path.with_suffix(".zip")

    return write


def tar_of(name, kind, link=""):
    def write(path):
        with tarfile.open(path.with_suffix(".tar"), "w") as archive:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
        return path.with_suffix(".tar")

    return write


def too_many(path):
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for number in range(archives.MAX_MEMBERS + 1):
            archive.addfile(tarfile.TarInfo(f"{number}"))
    return path.with_suffix(".tar")


def cut(path, end=-3000):
    source = forms.tarred(path.with_suffix(".tar.gz"), forms.class_folders(path.parent / "in", TWO))
    source.write_bytes(source.read_bytes()[:end])
    return source


HOSTILE = {
    "path above": (zip_of(("../evil.png", b"x", 0)), r"its member \.\./evil\.png lies outside of it"),
    "path from the root": (zip_of(("/tmp/evil.png", b"x", 0)), "lies outside of it"),
    "path with backslashes": (zip_of(("a\\..\\..\\evil.png", b"x", 0)), "lies outside of it"),
    "path with a drive": (zip_of(("C:/evil.png", b"x", 0)), "lies outside of it"),
    "tar's path above": (tar_of("a/../../evil", tarfile.REGTYPE), "lies outside of it"),
    "zip's link": (zip_of(("link", b"/etc/passwd", 0o120777)), "its member link is a link or a device"),
    "tar's link": (tar_of("link", tarfile.SYMTYPE, "/etc/passwd"), "its member link is a link or a device"),
    "hard link": (tar_of("link", tarfile.LNKTYPE, "/etc/passwd"), "is a link or a device"),
    "device": (tar_of("null", tarfile.CHRTYPE), "is a link or a device"),
    "pipe": (tar_of("pipe", tarfile.FIFOTYPE), "is a link or a device"),
    "bomb": (zip_of(("zeros.png", bytes(32 << 20), 0)), "unpacks to 33,554,432 bytes and more from .* 100 times"),
    "too many members": (too_many, "has more than 50 members"),
    "control characters": (zip_of(("../\x1b[2J", b"x", 0)), r"its member \.\./\\x1b\[2J lies outside"),
    "cut off": (cut, "is a damaged archive"),
    "cut off early": (lambda path: cut(path, 32), "is a damaged archive"),
    "a member without a name": (zip_of(("", b"x", 0)), "is a damaged archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name, tmp_path, monkeypatch):
    write, problem = HOSTILE[name]
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match=problem):
        import_data(write(tmp_path / "a"), tmp_path / "out")
    assert not list(tmp_path.glob("*evil*")) and not list(tmp_path.glob("fmnist-archive-*"))


def test_a_bomb_that_promises_little_is_stopped(tmp_path, monkeypatch):
    """The size in the archive's list is a lie."""
    path = zip_of(("zeros.png", bytes(32 << 20), 0))(tmp_path / "a")
    members = archives._zip_members
    monkeypatch.setattr(archives, "_zip_members", lambda *args: (member._replace(size=10) for member in members(*args)))
    with pytest.raises(InputError, match="100 times"):
        import_data(path, tmp_path / "out")


def test_a_table_in_an_archive_names_nothing_outside(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(forms.png(ALL["train"][0][0]))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "labels.csv").write_text("file,label\n" + f"{secret},a\n{secret},b\n" * 2)
    with pytest.raises(InputError, match=r"names .*secret\.png, which is not in the archive"):
        import_data(forms.zipped(tmp_path / "a.zip", tmp_path / "in"), tmp_path / "out")
    facts = import_data(tmp_path / "in", tmp_path / "out", test_fraction=0.5, image_shape=(8, 8))
    assert facts["images"] == 4  # a table that is no archive's may name what it likes


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def text(path, content):
    path.write_text(content)
    return path


def pickled(folder):
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": 1}, protocol=2))
    return folder


X, Y = COLOUR["train"]
PIXELS = ",".join("7" * 64)
BROKEN = {
    "nothing there": (lambda at: at / "nowhere", "nowhere does not exist"),
    "no form": (lambda at: text(at / "a.txt", "hello"), "a.txt is in no form that is known"),
    "empty folder": (lambda at: at, "has 0 sub-folders with pictures"),
    "no labels for the test": (
        lambda at: save(at / "a.npz", x_train=X, y_train=Y, x_test=X),
        "lacks y_test beside x_test; it holds x_train, y_train, x_test; expected names such as x_train, y_train, x_t",
    ),
    "other names": (lambda at: save(at / "a.npz", arr_0=X, arr_1=Y), "it holds arr_0, arr_1; expected names such as"),
    "two names": (lambda at: save(at / "a.npz", x=X, images=X, y=Y), "x and images could both be the images"),
    "numbers of labels": (lambda at: save(at / "a.npz", x=X, y=Y[1:]), "has 23 labels for 24 images"),
    "columns of labels": (lambda at: save(at / "a.npz", x=X, y=np.eye(24)), r"shape \(24, 24\); .*`labels.argmax"),
    "pickles in an NPZ": (
        lambda at: save(at / "a.npz", x=X, y=np.array([None] * 24)),
        "a.npz, y.npy: holds Python objects, pickles that can carry code",
    ),
    "complex values": (lambda at: save(at / "a.npz", x=X + 1j, y=Y), "holds complex128; expected whole numbers"),
    "negative values": (
        lambda at: save(at / "a.npz", x=X / 127.5 - 1, y=Y), "values from -1 to 1; expected 0 to 1; .* `white`"
    ),
    "not a number": (lambda at: save(at / "a.npz", x=X * np.nan, y=Y), "holds values from nan to nan"),
    "four channels": (lambda at: save(at / "a.npz", x=np.zeros((24, 8, 8, 4)), y=Y), r"shape \(24, 8, 8, 4\); ex"),
    "no square": (lambda at: save(at / "a.npz", x=np.zeros((24, 65)), y=Y), "rows of 65 values; expected a square"),
    "one class": (lambda at: save(at / "a.npz", x=X, y=Y * 0), r"number of classes is 1 \(0\); expected 2 to 256"),
    "many classes": (
        lambda at: save(at / "a.npz", x=np.zeros((300, 4, 4)), y=np.arange(300)), "number of classes is 300"
    ),
    "cut NPZ": (lambda at: cut_file(forms.keras_npz(at / "a.npz", TWO)), "a.npz: is no readable .npz file"),
    "cut NPY": (lambda at: cut_file(forms.npy(at, ALL, "{kind}") / "X.npy").parent, "X.npy: is no readable .npy array"),
    "no labels beside": (lambda at: gone(forms.npy(at, ALL, "{kind}") / "y.npy").parent, "lacks labels beside X"),
    "names without labels": (
        lambda at: text(at / "a.csv", "file,width,height\na.png,1,2\n"), "no column of the classes is known among file"
    ),
    "two columns of labels": (
        lambda at: text(at / "a.csv", "file,label,class\na.png,1,2\n"),
        "columns label and class could each be meant; choose with `label_column='label'`",
    ),
    "no such pictures": (lambda at: text(at / "a.csv", "file,label\na.png,1\nb.png,2\n"), "a.png, and no such picture"),
    "three columns without names": (
        lambda at: text(at / "a.csv", "a.png,cat,1\nb.png,dog,2\n"), "classes is known among 1, 2, 3; .*`label_column="
    ),
    "row that ends early": (lambda at: text(at / "a.csv", f"1,{PIXELS}\n0,7,7\n"), "line 2: has 3 cells; expected 65"),
    "no number": (
        lambda at: text(at / "a.csv", f"0,{PIXELS}\n1,{PIXELS}\n1,x{PIXELS}\n"), "could not convert string .*'x7'; exp"
    ),
    "too large a number": (
        lambda at: text(at / "a.csv", f"0,{PIXELS}\n1,{PIXELS}77\n"), "values from 7 to 777; expected 0 to 255"
    ),
    "no name of a file": (lambda at: text(at / "a.csv", "file,label\na\0.png,1\n"), r"names a\\x00\.png; expected"),
    "empty table": (lambda at: text(at / "a.csv", ""), "has no row; expected a row an image"),
    "header alone": (lambda at: text(at / "a.csv", "file,label\n"), "has no row below its header"),
    "no text": (lambda at: binary(at / "a.csv"), "cannot be read as a table of text"),
    "cut Parquet": (lambda at: cut_file(forms.parquet(at / "a.parquet", X, Y)), "is no readable Parquet file"),
    "a label without a name": (
        lambda at: forms.parquet(at / "a.parquet", X, Y, names=("cat",)), "label: 1 class has a name, but not 1"
    ),
    "CIFAR's pickles": (lambda at: pickled(at / "cifar-10-batches-py"), "is a Python pickle, .*numpy.savez"),
}  # fmt: skip


def cut_file(path):
    path.write_bytes(path.read_bytes()[:-40] if path.suffix != ".npy" else b"\x93NUMPY\x01\x00v\x00{")
    return path


def gone(path):
    path.unlink()
    return path


def binary(path):
    path.write_bytes(b"\xff\xfe\x00" * 9)
    return path


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told(name, tmp_path):
    write, problem = BROKEN[name]
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=problem):
        import_data(write(tmp_path / "in"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


FILES = {
    "NPZ": lambda at: forms.keras_npz(at / "a.npz", TWO),
    "packed NPZ": lambda at: forms.medmnist_npz(at / "a.npz", GREY),
    "Parquet": lambda at: forms.parquet(at / "a.parquet", X, Y),
    "CSV of files": lambda at: forms.csv_of_files(at / "in", TWO) / "labels.csv",
    "CSV of pixels": lambda at: forms.csv_of_pixels(at / "a.csv", *GREY["train"]),
    "zip": lambda at: forms.zipped(at / "a.zip", forms.class_folders(at / "in", TWO)),
    "tar.gz": lambda at: forms.tarred(at / "a.tar.gz", forms.class_folders(at / "in", TWO)),
}


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_damaged_ends_in_an_error_of_ours(name, tmp_path):
    source, rng = FILES[name](tmp_path), np.random.default_rng(0)
    whole = source.read_bytes()
    for number in range(12):
        place = int(rng.integers(min(len(whole), 400 if number % 2 else len(whole))))
        damaged = bytearray(whole[:place] if number < 4 else whole)
        damaged[place : place + 8] = rng.bytes(8) if number < 9 else bytes(8)
        source.write_bytes(damaged)
        with contextlib.suppress(InputError):
            import_data(source, tmp_path / f"out-{number}")


def test_a_refusal_names_all_forms(tmp_path):
    with pytest.raises(InputError) as caught:
        import_data(text(tmp_path / "a.txt", "hello"), tmp_path / "out")
    assert all(form.name in str(caught.value) for form in FORMS if form.holds)


def test_the_table_of_forms_is_in_the_documentation():
    page = (ROOT / "docs" / "data.md").read_text("utf-8")
    for form in FORMS:
        assert not form.holds or f"| {form.name} | {form.holds} |" in page


@pytest.mark.parametrize(
    ("write", "said", "how"),
    [
        (lambda at: forms.csv_of_files(at / "in", TWO), "took the columns file name, Label, split", {}),
        (
            lambda at: forms.csv_of_pixels(at / "a.csv", X, Y, header=False),
            "took column 1 as the label",
            {"label_column": "1"},
        ),
        (
            lambda at: forms.keras_npz(at / "a.npz", TWO, lambda x: x / 255),
            "float64 values, of which 1 is taken as white",
            {"white": 1},
        ),
        (
            lambda at: forms.keras_npz(at / "a.npz", TWO, first),
            "the channels come first, as in (N, 3, 8, 8)",
            {},
        ),
        (
            lambda at: forms.keras_npz(at / "a.npz", TWO, lambda x: x.reshape(len(x), -1)),
            "rows of 192 values, taken as 8×8 pixels, the channels of a pixel side by side (`channels='first'`)",
            {},
        ),
        (lambda at: forms.parquet(at / "a.parquet", X, Y), "took the columns image, label", {}),
    ],
)
def test_what_is_guessed_is_told(write, said, how, tmp_path):
    source = write(tmp_path)
    facts = import_data(source, tmp_path / "out")
    assert any(said in line for line in facts["guessed"])
    if how:
        assert not any(said in line for line in import_data(source, tmp_path / "sure", **how)["guessed"])
        assert read_folder(tmp_path / "sure").sha256 == read_folder(tmp_path / "out").sha256


def test_a_guess_can_be_said_otherwise(tmp_path):
    planes = forms.keras_npz(tmp_path / "a.npz", TWO, lambda x: first(x).reshape(len(x), -1))
    import_data(planes, tmp_path / "planes", channels="first")
    assert pairs(read_folder(tmp_path / "planes"), "train") == given(TWO, "train")
    dark = forms.keras_npz(tmp_path / "b.npz", TWO, lambda x: x // 16)
    import_data(dark, tmp_path / "dark", white=15)
    assert read_folder(tmp_path / "dark").train_images.max() == 255
    path = text(tmp_path / "a.csv", "file,what,where\n" + "".join(f"{n}.png,{n % 2},{n % 3}\n" for n in range(24)))
    for number, image in enumerate(X):
        (tmp_path / f"{number}.png").write_bytes(forms.png(image))
    facts = import_data(path, tmp_path / "labels", label_column="where")
    assert facts["class_names"] == ["0", "1", "2"]


def test_arrays_are_taken_as_they_are_and_pictures_are_looked_at(tmp_path):
    """A light ground stays light in arrays, and photos are prepared for it as for IDX files that say nothing."""
    light = {part: (255 - images // 3, labels) for part, (images, labels) in GREY.items()}
    facts = import_data(forms.medmnist_npz(tmp_path / "a.npz", light), tmp_path / "arrays")
    assert facts["inverted"] is False and read_folder(tmp_path / "arrays").preparation == Preparation("photo", True)
    facts = import_data(forms.class_folders(tmp_path / "in", light), tmp_path / "files")
    assert facts["inverted"] is True and read_folder(tmp_path / "files").preparation == Preparation("whole", True)
    dark = {part: (images // 3, labels) for part, (images, labels) in GREY.items()}
    import_data(forms.medmnist_npz(tmp_path / "b.npz", dark), tmp_path / "dark")
    assert read_folder(tmp_path / "dark").preparation == PHOTO
    import_data(forms.keras_npz(tmp_path / "c.npz", TWO), tmp_path / "colour")
    assert read_folder(tmp_path / "colour").preparation == WHOLE


def test_names_of_classes_beside_arrays(tmp_path):
    source = forms.npy(tmp_path / "in", TWO)
    text(source / "classes.txt", "zebra\napple\n")
    facts = import_data(source, tmp_path / "out")
    assert facts["class_names"] == ["zebra", "apple"] and "classes.txt" in "".join(facts["guessed"])


def test_a_test_part_without_labels_is_left_out_and_told(tmp_path):
    """As competitions give it, with a file of examples that is none of the parts."""
    source = forms.csv_of_pixels(tmp_path / "in" / "train.csv", X, Y).parent
    text(source / "test.csv", "pixels,x\n1,2\n")
    text(source / "sample_submission.csv", "id,label\n1,0\n")
    facts = import_data(source, tmp_path / "out")
    told = "\n".join(facts["guessed"])
    assert facts["images"] == 24 and "left out" in told and "test.csv" in told and "sample_submission.csv" in told


def test_large_pictures_shrink_unless_a_size_is_given(tmp_path):
    big = {part: (np.repeat(np.repeat(x, 28, 1), 28, 2), y) for part, (x, y) in TWO.items()}
    source = forms.keras_npz(tmp_path / "a.npz", big)
    assert import_data(source, tmp_path / "small")["image_shape"] == [28, 28, 3]
    assert import_data(source, tmp_path / "large", image_shape=(224, 224))["image_shape"] == [224, 224, 3]


def test_a_damaged_picture_in_a_table_is_named(tmp_path):
    source = forms.csv_of_files(tmp_path / "in", TWO)
    (source / "pictures" / "train-3.png").write_bytes(b"no")
    archive = forms.zipped(tmp_path / "a.zip", source)
    (row,) = import_data(archive, tmp_path / "out")["unreadable"]
    assert row["problem"].startswith(f"{archive}/in/pictures/train-3.png: is no picture")
    with pytest.raises(InputError, match=r"train-3\.png"):
        import_data(archive, tmp_path / "strict", strict=True)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = forms.parquet(tmp_path / "a.parquet", X, Y)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RunError, match=r"reading Parquet needs 'pyarrow.*pip install 'fmnist\[parquet\]'"):
        import_data(path, tmp_path / "out")


def test_on_the_command_line(tmp_path, run_cli):
    source = forms.csv_of_files(tmp_path / "in", TWO)
    code, out, err = run_cli("data", "import", source / "labels.csv", "--out", tmp_path / "out")
    assert code == 0 and err == (
        "Guessed   took the columns file name, Label, split (--image-column, --label-column, --split-column)\n"
    )
    assert "Form       CSV file\n" in out and "Split      train for training, test for the test, as it came\n" in out
    code, _, err = run_cli("data", "import", source / "labels.csv", "--out", tmp_path / "no", "--label-column", "x")
    assert code == 2 and "--label-column x is none of the columns file name, Label, split" in err
    assert read_folder(tmp_path / "out").num_classes == 2
