"""A data set from a folder or the cache, its split, and what `inspect` counts in it."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fmnist import load_dataset
from fmnist.data import sources
from fmnist.data.cache import KnownFile
from fmnist.data.dataset import VALIDATION_FILES, Dataset, read_folder
from fmnist.data.download import Folder
from fmnist.data.idx import read_idx, write_idx
from fmnist.data.inspection import inspect
from fmnist.data.preparation import WHOLE
from fmnist.data.sources import FILE_NAMES
from fmnist.data.split import run_split, split_indices
from fmnist.errors import InputError, RunError

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILE_NAMES


def arrays(train=12, test=6, classes=3, shape=(5, 4)):
    rng = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (train, *shape), dtype=np.uint8),
        TRAIN_LABELS: (np.arange(train) % classes).astype(np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (test, *shape), dtype=np.uint8),
        TEST_LABELS: (np.arange(test) % classes).astype(np.uint8),
    }


def write_folder(folder, contents, rename=lambda name: name):
    folder.mkdir(exist_ok=True)
    for name, array in contents.items():
        write_idx(folder / rename(name), array)
    return folder


def assert_holds(dataset, contents):
    for read, written in zip(
        (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels),
        contents.values(),
        strict=True,
    ):
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, written.reshape(read.shape))


def digests(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILE_NAMES}


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", arrays())


@pytest.fixture
def official(folder, tmp_path, monkeypatch):
    """Make the files of `folder` the official ones; the system's package and the cache are empty."""
    files = tuple(KnownFile(name, (folder / name).stat().st_size, digest) for name, digest in digests(folder).items())
    monkeypatch.setattr(sources, "OFFICIAL_FILES", files)
    monkeypatch.setattr(sources, "OFFICIAL_CLASS_NAMES", ("red", "green", "blue"))
    monkeypatch.setattr(sources, "PACKAGE_FOLDER", tmp_path / "no-package")
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FMNIST_OFFLINE", "1")
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    return folder


# --- a folder -------------------------------------------------------------------------------------------------------

SPELLINGS = {
    "plain": lambda name: name,
    "gzip": lambda name: f"{name}.gz",
    "dotted": lambda name: name.replace("-idx", ".idx"),
    "dotted gzip": lambda name: name.replace("-idx", ".idx") + ".gz",
    "mixed": lambda name: name + (".gz" if "images" in name else ""),
}


@pytest.mark.parametrize("rename", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_folder_of_four_files(tmp_path, folder, rename):
    other = write_folder(tmp_path / "other", arrays(), rename)
    dataset = load_dataset(other)
    assert_holds(dataset, arrays())
    assert dataset.source == str(other)
    assert dataset.image_shape == (5, 4, 1)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.num_classes == 3
    assert dataset.sha256 == digests(folder)  # of the decompressed files, under the official names
    assert repr(dataset) == f"Dataset(12 training and 6 test images, 5×4 pixels, 3 classes, {str(other)!r})"


def test_a_class_that_only_the_test_set_has_counts(tmp_path):
    contents = arrays()
    contents[TEST_LABELS][0] = 6
    assert load_dataset(write_folder(tmp_path / "data", contents)).num_classes == 7


def test_class_names_from_a_file(folder):
    (folder / "classes.txt").write_bytes("\ufeffT-shirt\r\n\r\n  Hemd über alles \nHose\nnever seen\n".encode())
    assert read_folder(folder).class_names == ("T-shirt", "Hemd über alles", "Hose", "never seen")


def test_the_official_files_bring_their_names(official):
    assert read_folder(official).class_names == ("red", "green", "blue")
    (official / "classes.txt").write_text("a\nb\nc\n")
    assert read_folder(official).class_names == ("a", "b", "c")


def swap_images_and_labels(folder):
    images, labels = (folder / TRAIN_IMAGES).read_bytes(), (folder / TRAIN_LABELS).read_bytes()
    (folder / TRAIN_IMAGES).write_bytes(labels)
    (folder / TRAIN_LABELS).write_bytes(images)


def cut_gzip(folder):
    packed = gzip.compress((folder / TEST_IMAGES).read_bytes())
    (folder / TEST_IMAGES).unlink()
    (folder / f"{TEST_IMAGES}.gz").write_bytes(packed[:-9])


BROKEN = {
    "missing": (
        lambda folder: (folder / TEST_LABELS).unlink(),
        [f"{TEST_LABELS} is missing; expected under this name, with or without .gz"],
    ),
    "two damaged": (
        lambda folder: [(folder / name).write_bytes(b"no") for name in (TRAIN_IMAGES, TEST_LABELS)],
        [f"{TRAIN_IMAGES}: begins 6e 6f; expected", f"{TEST_LABELS}: begins 6e 6f; expected"],
    ),
    "truncated gzip": (cut_gzip, [f"{TEST_IMAGES}.gz: is a damaged or truncated gzip file"]),
    "swapped": (
        swap_images_and_labels,
        [f"{TRAIN_IMAGES}: holds labels (1 dimension), expected images", f"{TRAIN_LABELS}: holds images"],
    ),
    "counts differ": (
        lambda folder: write_idx(folder / TRAIN_LABELS, np.zeros(11, np.uint8)),
        ["training: 12 images but 11 labels; expected a label an image"],
    ),
    "sizes differ": (
        lambda folder: write_idx(folder / TEST_IMAGES, np.zeros((6, 4, 5), np.uint8)),
        ["training images are 5×4 pixels but test images 4×5 pixels; expected one size"],
    ),
    "empty": (
        lambda folder: write_folder(folder, arrays(test=0)),
        ["test: images of shape (0, 5, 4, 1) hold no pixel; expected at least one image"],
    ),
    "no pixels": (
        lambda folder: write_folder(folder, arrays(shape=(0, 4))),
        ["training: images of shape (12, 0, 4, 1) hold no pixel", "test: images of shape (6, 0, 4, 1) hold no pixel"],
    ),
    "all empty": (
        lambda folder: write_folder(folder, arrays(0, 0)),
        ["training: images of shape (0, 5, 4, 1)", "test: images of shape (0, 5, 4, 1)", "there are 0 classes"],
    ),
    "one class": (lambda folder: write_folder(folder, arrays(classes=1)), ["there are 1 classes; expected at least 2"]),
    "too few names": (
        lambda folder: (folder / "classes.txt").write_text("a\nb\n"),
        [
            "training: label 2 has no name; 2 class names are for the labels 0 to 1, so classes.txt needs at least 3",
            "test: label 2 has no name",
        ],
    ),
    "repeated names": (
        lambda folder: (folder / "classes.txt").write_text("a\nb\na\n"),
        ["class names occur more than once: a; expected different names"],
    ),
    "names in another encoding": (
        lambda folder: (folder / "classes.txt").write_bytes(b"\xff\xfe\x00"),
        ["classes.txt cannot be read as UTF-8 text"],
    ),
    "several at once": (
        lambda folder: [(folder / TRAIN_LABELS).unlink(), (folder / "classes.txt").mkdir()],
        [f"{TRAIN_LABELS} is missing", "classes.txt cannot be read"],
    ),
}


@pytest.mark.parametrize(("breaking", "problems"), BROKEN.values(), ids=BROKEN.keys())
def test_all_that_is_wrong_is_told_at_once(folder, breaking, problems):
    breaking(folder)
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    first, *lines = str(caught.value).splitlines()
    assert first == f"the data in {folder} cannot be used:"
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        assert line.startswith(f"  - {problem}")


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(InputError, match=r"nowhere \(the data folder given\) does not exist; expected .*t10k-labels"):
        load_dataset(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is in no form that is known"):
        load_dataset(str(tmp_path / "file"))


def test_a_dataset_made_by_hand_is_checked_too():
    train_images, train_labels, test_images, test_labels = arrays().values()
    Dataset(train_images, train_labels, test_images, test_labels, ("a", "b", "c"), "by hand")
    with pytest.raises(
        InputError, match=r"training: images are float64 \(12, 5, 4, 1\) and labels uint8 \(12,\); expected"
    ):
        Dataset(train_images / 255, train_labels, test_images, test_labels, ("a", "b", "c"), "by hand")
    with pytest.raises(InputError, match=r"by hand cannot be used:\n  - test: images .* labels int64"):
        Dataset(train_images, train_labels, test_images, test_labels.astype(int), ("a", "b", "c"), "by hand")


def test_colour_has_three_channels(tmp_path):
    contents = arrays()
    for name in (TRAIN_IMAGES, TEST_IMAGES):
        grey = contents[name]
        contents[name] = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    dataset = load_dataset(write_folder(tmp_path / "data", contents))
    assert_holds(dataset, contents)
    assert dataset.image_shape == (5, 4, 3) and dataset.preparation == WHOLE
    assert "5×4 pixels in colour" in repr(dataset) and inspect(dataset)["image_shape"] == [5, 4, 3]
    with pytest.raises(InputError, match="images have 4 channels; expected 1 for grey or 3 for colour"):
        Dataset(*(np.zeros(shape, np.uint8) for shape in ((2, 5, 4, 4), (2,)) * 2), ("a", "b"), "by hand")
    grey = arrays()
    mixed = [contents[TRAIN_IMAGES], grey[TRAIN_LABELS], grey[TEST_IMAGES], grey[TEST_LABELS]]
    with pytest.raises(InputError, match=r"5×4 pixels in colour but test images 5×4 pixels; expected one size"):
        Dataset(*mixed, ("a", "b", "c"), "by hand")


@pytest.mark.parametrize("place", ["raw", "FashionMNIST/raw"])
def test_files_that_lie_deeper_are_found(tmp_path, place):
    """As torchvision keeps them, each file packed and unpacked."""
    inside = tmp_path / "root" / place
    inside.mkdir(parents=True)
    write_folder(write_folder(inside, arrays()), arrays(), SPELLINGS["gzip"])
    dataset = load_dataset(tmp_path / "root")
    assert_holds(dataset, arrays())
    assert dataset.source == str(inside) and dataset.folder == inside.resolve()
    (tmp_path / "root" / "other").mkdir()
    write_folder(tmp_path / "root" / "other", arrays())
    with pytest.raises(
        InputError, match=rf"several data sets, ({place}, other|other, {place}); name the folder of one"
    ):
        load_dataset(tmp_path / "root")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_emnist_has_names_of_its_own_and_lies_on_its_side(tmp_path, suffix):
    def emnist(name):
        return f"emnist-letters-{name.replace('t10k', 'test')}{suffix}"

    folder = write_folder(tmp_path / "data", arrays(shape=(5, 4)), emnist)
    dataset = load_dataset(folder)
    np.testing.assert_array_equal(dataset.train_images[..., 0], arrays()[TRAIN_IMAGES].swapaxes(1, 2))
    np.testing.assert_array_equal(read_idx(folder / emnist(TEST_IMAGES)), dataset.test_images[..., 0])
    write_folder(folder, arrays(), lambda name: emnist(name).replace("letters", "digits"))
    with pytest.raises(InputError, match="emnist-digits-.*, emnist-letters-.*: of several data sets; put the files"):
        load_dataset(folder)


def test_labels_from_one_are_told_with_the_mend(tmp_path, run_cli):
    contents = arrays()
    for name in (TRAIN_LABELS, TEST_LABELS):
        contents[name] = contents[name] + np.uint8(1)
    folder = write_folder(tmp_path / "data", contents)
    (note,) = load_dataset(folder).notes
    assert note.startswith(
        "the labels begin at 1, expected 0, so the class 0 has no training image; `fmnist.write_idx("
    )
    code, out, err = run_cli("data", "--data-dir", folder, "--no-samples", "--json")
    assert code == 0 and err == f"Note      {note}\n" and json.loads(out)["notes"] == [note]
    assert note in run_cli("doctor", folder)[1]
    (folder / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(InputError, match=r"label 3 has no name; .* labels 0 to 2, so the labels begin at 1, .* mends"):
        load_dataset(folder)
    for name in (TRAIN_LABELS, TEST_LABELS):
        write_idx(folder / name, read_idx(folder / name) - 1)
    mended = load_dataset(folder)
    assert mended.notes == [] and mended.class_names == ("a", "b", "c")


def test_classes_without_a_training_image_are_told(folder):
    (folder / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    assert load_dataset(folder).notes == ["no training image has the class d, e"]


# --- which data is loaded -------------------------------------------------------------------------------------------


def test_the_order_of_places(official, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="no-package: no such folder"):
        load_dataset()
    monkeypatch.setattr(sources, "PACKAGE_FOLDER", official)
    from_package = load_dataset()
    assert from_package.source == f"official Fashion-MNIST from {official}"
    assert_holds(from_package, arrays())
    assert from_package.class_names == ("red", "green", "blue")
    assert from_package.sha256 == digests(official)
    cache = tmp_path / "cache" / "fashion-mnist"
    assert {path.name for path in cache.iterdir()} >= set(FILE_NAMES)
    from_cache = load_dataset()
    assert from_cache.source == f"official Fashion-MNIST from the cache {cache}"
    assert_holds(from_cache, arrays())
    named = write_folder(tmp_path / "named", arrays(train=9))
    monkeypatch.setenv("FMNIST_DATA", str(named))
    assert_holds(load_dataset(), arrays(train=9))
    given = write_folder(tmp_path / "given", arrays(train=15))
    assert_holds(load_dataset(given), arrays(train=15))
    monkeypatch.setenv("FMNIST_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"nowhere \(FMNIST_DATA\) does not exist"):
        load_dataset()


def test_other_data_is_never_taken_for_the_official(official, tmp_path, monkeypatch):
    write_folder(tmp_path / "no-package", arrays(train=13))
    with pytest.raises(RunError, match=r"no-package: train-images-idx3-ubyte: .* more than the 256 bytes accepted"):
        load_dataset()


def test_progress_reaches_the_sources(official, monkeypatch):
    class Telling(Folder):
        def fetch(self, files, progress):
            progress(1, 2, "half")
            return super().fetch(files, progress)

    monkeypatch.setattr(sources, "default_sources", lambda cache: (Telling(official),))
    seen = []
    load_dataset(progress=lambda *args: seen.append(args))
    assert seen == [(1, 2, "half")]


def test_importing_the_room_is_light():
    code = "import sys, fmnist.data; print(*{'PIL', 'keras', 'urllib.request', 'tqdm', 'click'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# --- split ----------------------------------------------------------------------------------------------------------

LABELS = {
    "balanced": np.arange(1000) % 10,
    "uneven": np.repeat(np.arange(5), [500, 3, 1, 77, 400]),
    "one class": np.zeros(37, int),
    "gaps": np.array([3, 200, 3, 200, 7], np.uint8),
    "few": np.arange(10, dtype=np.uint8),
    "none": np.zeros(0, np.uint8),
}


@pytest.mark.parametrize("fraction", [0, 0.05, 0.1, 0.2, 1 / 3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_a_split_is_exact_and_stratified(labels, fraction):
    labels = np.random.default_rng(1).permutation(labels)
    train, validation = split_indices(labels, fraction, seed=7)
    assert train.dtype == validation.dtype == np.int64
    assert len(validation) == round(len(labels) * fraction)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    for label in np.unique(labels):
        share = len(validation) * (labels == label).sum() / len(labels)
        assert abs((labels[validation] == label).sum() - share) < 1


def test_the_seed_decides():
    labels = LABELS["balanced"]
    first = split_indices(labels, 0.2, seed=1)[1]
    np.testing.assert_array_equal(first, split_indices(labels.astype(np.uint8), 0.2, seed=1)[1])
    assert not np.array_equal(first, split_indices(labels, 0.2, seed=2)[1])


def test_the_split_of_a_seed_stays_what_it_was():
    """Runs are repeatable only as long as this holds."""
    _, validation = split_indices(np.arange(40) % 4, 0.3, seed=42)
    assert validation.tolist() == [0, 2, 7, 9, 11, 17, 20, 24, 27, 33, 34, 38]


def test_every_image_is_chosen_equally_often():
    labels = np.repeat([0, 1], [20, 20])
    counts = np.zeros(40)
    for seed in range(400):
        counts[split_indices(labels, 0.25, seed)[1]] += 1
    assert counts.min() > 60  # 100 expected, standard deviation 8.7
    assert counts.max() < 140


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_fractions_out_of_range(fraction):
    with pytest.raises(InputError, match=f"validation_fraction is {fraction}; expected 0 <= validation_fraction < 1"):
        split_indices(LABELS["few"], fraction, seed=0)


def test_negative_seeds():
    with pytest.raises(InputError, match="seed is -1; expected 0 or more"):
        split_indices(LABELS["few"], 0.5, seed=-1)


# --- inspection -----------------------------------------------------------------------------------------------------


def image(value):
    return np.full((2, 2), value, np.uint8)


def test_inspection_of_a_set_worked_by_hand():
    train = np.stack([image(value) for value in (0, 51, 51, 51, 0, 255)])  # 51 is 0.2, 255 is 1
    test = np.stack([image(value) for value in (0, 51, 102, 102)])
    dataset = Dataset(
        train,
        np.array([0, 1, 1, 2, 0, 1], np.uint8),
        test,
        np.array([0, 0, 1, 2], np.uint8),
        ("a", "b", "c", "d"),
        "by hand",
        {"file": "abc"},
    )
    facts = inspect(dataset)
    assert json.loads(json.dumps(facts)) == facts
    assert facts.pop("train") == {
        "num_images": 6,
        "class_counts": [2, 3, 1, 0],
        "minimum": 0,
        "maximum": 255,
        "mean": pytest.approx(1.6 / 6),
        "std": pytest.approx(np.std([0, 0.2, 0.2, 0.2, 0, 1])),
        "duplicates": 3,  # two more of 51, one more of 0
        "duplicates_other_label": 1,  # the 51 of label 2
    }
    assert facts.pop("test") == {
        "num_images": 4,
        "class_counts": [2, 1, 1, 0],
        "minimum": 0,
        "maximum": 102,
        "mean": pytest.approx(1.0 / 4),
        "std": pytest.approx(np.std([0, 0.2, 0.4, 0.4])),
        "duplicates": 1,
        "duplicates_other_label": 1,
    }
    assert facts == {
        "source": "by hand",
        "sha256": {"file": "abc"},
        "dtype": "uint8",
        "image_shape": [2, 2],
        "num_classes": 4,
        "class_names": ["a", "b", "c", "d"],
        "notes": ["no training image has the class d"],
        "num_validation": 0,
        "test_in_train": 2,  # 0 and 51
        "test_in_train_other_label": 1,  # 51 is 1 or 2 in training, 0 in test
    }


def test_inspection_agrees_with_numpy_beyond_one_block():
    images = np.random.default_rng(3).integers(0, 200, (2500, 6, 5), dtype=np.uint8)
    labels = (np.arange(2500) % 2).astype(np.uint8)
    dataset = Dataset(images[:2400], labels[:2400], images[2400:], labels[2400:], ("a", "b"), "random")
    facts = inspect(dataset)["train"]
    assert facts["mean"] == pytest.approx((images[:2400] / 255).mean(), rel=1e-12)
    assert facts["std"] == pytest.approx((images[:2400] / 255).std(), rel=1e-12)
    assert (facts["minimum"], facts["maximum"]) == (0, 199)
    assert facts["duplicates"] == 0


def settings(limit, fraction=0.2, seed=3):
    return {"data": {"limit": limit, "validation_fraction": fraction}, "training": {"seed": seed}}


def test_a_limit_takes_the_first_images_where_they_have_all_classes():
    labels = np.random.default_rng(0).permutation(np.arange(1000) % 10).astype(np.uint8)
    train, validation = run_split(settings(200), labels)
    for found, expected in zip((train, validation), split_indices(labels[:200], 0.2, 3), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(run_split(settings(None), labels)[0]) == 800 and len(run_split(settings(5000), labels)[0]) == 800


@pytest.mark.parametrize("limit", [10, 123, 600, 999])
def test_a_limit_takes_some_of_each_class_where_they_are_sorted(limit):
    labels = np.sort(np.arange(1000) % 10).astype(np.uint8)
    train, validation = run_split(settings(limit, 0.0), labels)
    assert len(train) == limit and not len(validation) and (np.diff(train) > 0).all()
    assert np.ptp(np.bincount(labels[train], minlength=10)) <= 1
    train, validation = run_split(settings(limit), labels)
    assert len({*train} | {*validation}) == limit and len(validation) == round(limit * 0.2)
    again = run_split(settings(limit), labels)
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate([train, validation]))


@pytest.mark.parametrize("limit", [None, 50])
def test_a_part_for_validation_is_taken_whole(limit):
    labels = np.concatenate([np.arange(200) % 10, np.arange(30) % 3]).astype(np.uint8)
    train, validation = run_split(settings(limit), labels, num_validation=30)
    assert train.tolist() == list(range(limit or 200)) and validation.tolist() == list(range(200, 230))
    train, validation = run_split(settings(limit, 0.0), labels, num_validation=30)
    assert train.tolist() == list(range(limit or 230)) and not len(validation)


def write_validation(folder, images, labels):
    for name, array in zip(VALIDATION_FILES, (images, labels), strict=True):
        write_idx(folder / name, array)


def test_files_for_validation_lie_behind_the_training_images(tiny_data_dir, tmp_path):
    whole, folder = load_dataset(tiny_data_dir), shutil.copytree(tiny_data_dir, tmp_path / "data")
    images, labels = whole.test_images[:7, ..., 0], whole.test_labels[:7]
    write_validation(folder, images, labels)
    data = load_dataset(folder)
    assert data.num_validation == 7 and {*VALIDATION_FILES} < {*data.sha256} and len(data.train_labels) == 607
    np.testing.assert_array_equal(data.train_images[-7:, ..., 0], images)
    np.testing.assert_array_equal(data.train_labels[-7:], labels)
    for wrong in ((images[:, :5], labels), (images[:5], labels)):
        write_validation(folder, *wrong)
        with pytest.raises(InputError, match=r"validation: images \(\d, .* expected images of one size, and a label"):
            load_dataset(folder)
    (folder / VALIDATION_FILES[1]).unlink()
    with pytest.raises(InputError, match="val-labels-idx1-ubyte is missing"):
        load_dataset(folder)
