"""`fmnist data import`: a folder of pictures becomes a data set."""

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fmnist import import_data, load_dataset
from fmnist.data.idx import read_idx, write_idx
from fmnist.data.preparation import PHOTO, WHOLE, Preparation
from fmnist.errors import InputError
from fmnist.images.reading import read_pictures
from fmnist.images.recipe import prepare


def write_classes(folder, counts, size=(9, 7), ground=0):
    """A sub-folder a class; picture k of class c has one pixel of level 100 + c in column k."""
    for label, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full(size[::-1], ground, np.uint8)
            pixels[3, number % size[0]] = 100 + label
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_pictures_labels_and_names(tmp_path):
    folder = write_classes(tmp_path / "in", {"10": 10, "9": 5, "b": 20})
    facts = import_data(folder, tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    assert facts["class_names"] == ["10", "9", "b"] and dataset.class_names == ("10", "9", "b")
    assert facts["class_counts"] == [10, 5, 20] and dataset.image_shape == (7, 9, 1)
    assert np.bincount(dataset.train_labels).tolist() == [8, 4, 16]
    assert np.bincount(dataset.test_labels).tolist() == [2, 1, 4]
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), 100 + labels)
        assert sorted(labels) != labels.tolist()  # mixed, for --limit
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("size", ["0", "1025", "8x", "9" * 5000])
def test_a_size_that_is_none_is_bad_usage(size, run_cli):
    code, _, err = run_cli("data", "import", "x", "--out", "y", "--size", size)
    assert code == 2 and "expected a side such as 28" in err and len(err) < 300


def test_numbers_are_sorted_by_value(tmp_path):
    folder = write_classes(tmp_path / "in", {"10": 5, "9": 5})
    assert import_data(folder, tmp_path / "out")["class_names"] == ["9", "10"]


def test_the_seed_decides_and_repeats(tmp_path):
    folder = write_classes(tmp_path / "in", {"a": 9, "b": 9})
    for number, seed in enumerate((1, 1, 2)):
        import_data(folder, tmp_path / str(number), seed=seed)
    first, again, other = (load_dataset(tmp_path / str(number)) for number in range(3))
    assert first.sha256 == again.sha256 != other.sha256


@pytest.mark.parametrize(
    ("size", "wanted", "shape"),
    [
        ((8, 8), None, (8, 8)),
        ((100, 80), None, (28, 28)),
        ((100, 80), (20, 30), (20, 30)),
        ((8, 8), (28, 28), (28, 28)),
    ],
)
def test_size(size, wanted, shape, tmp_path):
    folder = write_classes(tmp_path / "in", {"a": 5, "b": 5}, size)
    assert import_data(folder, tmp_path / "out", image_shape=wanted)["image_shape"] == list(shape)


def test_a_whole_picture_is_fitted_on_its_own_ground(tmp_path):
    for name in "ab":
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(3):
            wide = Image.new("L", (200, 100), 240)
            wide.paste(40, (50, 25, 150, 75))
            wide.save(tmp_path / "in" / name / f"{number}.png")
    facts = import_data(tmp_path / "in", tmp_path / "out", test_fraction=0.4)
    image = load_dataset(tmp_path / "out").train_images[0, ..., 0].astype(int)
    expected = np.full((28, 28), 15)
    expected[7 + 4 : 7 + 10, 8:20] = 215  # 200 × 100 becomes 28 × 14, in the middle
    assert facts["inverted"] is True
    assert np.abs(image - expected)[[0, 6, 21, 27]].max() == 0 and image[14, 14] == 215
    import_data(tmp_path / "in", tmp_path / "kept", test_fraction=0.4, invert=False)
    np.testing.assert_array_equal(load_dataset(tmp_path / "kept").train_images[0, ..., 0], 255 - image)
    import_data(tmp_path / "in", tmp_path / "photos", test_fraction=0.4, photos=True)
    photo = load_dataset(tmp_path / "photos").train_images[0]
    assert photo[7:21].min() > 200 and not photo[:6].any()  # the object alone fills the width


def test_bad_pictures_are_named_and_left_out_or_refused(tmp_path, run_cli):
    folder = write_classes(tmp_path / "in", {"a": 5, "b": 5})
    (folder / "a" / "bad.png").write_text("hello")
    (folder / "a" / "notes.txt").write_text("hello")
    (folder / "b" / "empty.jpg").touch()
    (folder / "b" / "drawing.svg").write_text("<svg/>")
    (folder / "notes").mkdir()
    (folder / "notes" / "x.txt").touch()
    code, out, err = run_cli("data", "import", folder, "--out", tmp_path / "out", "--strict")
    assert (code, out) == (2, "") and "bad.png: is no picture" in err and "empty.jpg: is empty" in err
    assert (
        "drawing.svg: is a picture in the form SVG" in err
        and "notes: the folder holds no picture; looked for .apng" in err
    )
    assert not (tmp_path / "out").exists()
    code, out, err = run_cli("data", "import", folder, "--out", tmp_path / "out", "--json")
    assert code == 0 and [line.split()[2].rstrip(":") for line in err.splitlines()] == [
        str(folder / "notes"),
        str(folder / "a" / "bad.png"),
        str(folder / "b" / "drawing.svg"),
        str(folder / "b" / "empty.jpg"),
        "2",
    ]
    facts = json.loads(out)
    assert (facts["images"], facts["train"], facts["test"], len(facts["unreadable"])) == (10, 8, 2, 4)


def test_links_are_followed_clutter_is_left_out_and_other_files_are_named(tmp_path, run_cli):
    folder = write_classes(tmp_path / "in", {"a": 5})
    write_classes(tmp_path / "elsewhere", {"b": 6})
    (folder / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (folder / "a" / "again").symlink_to(folder / "a")  # a circle
    for clutter in ("@eaDir", "$RECYCLE.BIN", "__MACOSX", ".Trashes"):
        (folder / "a" / clutter).mkdir()
        (folder / clutter).mkdir()
        (folder / clutter / "x.png").write_bytes((folder / "a" / "0.png").read_bytes())
        (folder / "a" / clutter / "x.png").write_bytes((folder / "a" / "0.png").read_bytes())
    for other in ("noext", "photo.jpg!d", "raw.CR2", "notes.txt"):
        (folder / "b" / other).touch()
    code, out, err = run_cli("data", "import", folder, "--out", tmp_path / "out")
    assert code == 0 and "Pictures   9 training, 2 test" in out
    assert (
        err.splitlines()[0]
        == "Left out  4 files with no picture's ending: "
        + ", ".join(str(folder / "b" / name) for name in ("noext", "notes.txt", "photo.jpg!d"))
        + " and 1 more"
    )


def test_pictures_in_both_parts_are_told(tmp_path, run_cli):
    folder = write_classes(tmp_path / "in", {"a": 5, "b": 5})
    for number in range(5):
        (folder / "a" / f"copy-{number}.png").write_bytes((folder / "a" / "0.png").read_bytes())
    code, _, err = run_cli("data", "import", folder, "--out", tmp_path / "out", "--test-fraction", "0.5")
    assert code == 0 and err == "Beware    1 picture of the test set also in training: scores on it will be too high\n"


def test_for_people(tmp_path, run_cli):
    folder = write_classes(tmp_path / "in", {"left": 5, "right": 5})
    code, out, err = run_cli("data", "import", folder, "--out", tmp_path / "out", "--size", "10x12")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"Data set   {tmp_path / 'out'}",
        "Form       class folders",
        "Pictures   8 training, 2 test",
        "Each one   10×12 pixels, not negated (--invert)",
        "Classes    2: left, right",
        "",
        f"Next: fmnist train --data-dir {tmp_path / 'out'}",
    ]
    code, out, _ = run_cli("data", "--data-dir", tmp_path / "out", "--no-samples", "--json")
    assert code == 0 and json.loads(out)["class_names"] == ["left", "right"]


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({}, "has 0 sub-folder"),
        ({"a": 3}, "has 1 sub-folder"),
        ({"a": 3, "b": 0}, "has 1 sub-folder"),
        ({"train": 3, "test": 3}, "look like splits, not classes"),
        ({"a": 9, "b": 1}, r"needs 5 readable pictures of each class, .*; has a 9, b 1; add pictures$"),
        ({" a": 3, "b": 3}, "cannot name a class"),
        ({"a\nb": 3, "b": 3}, "cannot name a class"),
    ],
)
def test_folders_that_cannot_be_used(counts, problem, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=problem):
        import_data(write_classes(tmp_path / "in", counts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path):
    folder = write_classes(tmp_path / "in", {"a": 5, "b": 5})
    (tmp_path / "out").mkdir()
    import_data(folder, tmp_path / "out")  # an empty folder is fine
    with pytest.raises(InputError, match="exists already"):
        import_data(folder, tmp_path / "out")
    with pytest.raises(InputError, match="does not exist"):
        import_data(tmp_path / "nowhere", tmp_path / "new")


@pytest.mark.parametrize(("option", "value"), [("--size", "0"), ("--size", "8x8x8"), ("--test-fraction", "1")])
def test_bad_options(option, value, tmp_path, run_cli):
    code, out, err = run_cli("data", "import", tmp_path, "--out", tmp_path / "out", option, value)
    assert (code, out) == (2, "") and option in err


@pytest.mark.slow
def test_from_pictures_to_predictions(tmp_path, run_cli, monkeypatch):
    """scikit-learn's 1,797 digits as folders of PNG files: imported, trained on, and the test's own pictures asked."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - pixels * 255 / 16).astype(np.uint8)).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_cli("data", "import", "digits", "--out", "data", "--json")
    facts = json.loads(out)
    assert (code, facts["train"], facts["test"], facts["image_shape"]) == (0, 1438, 359, [8, 8])
    assert facts["class_names"] == list("0123456789") and facts["inverted"] is True
    assert run_cli("train", "--data-dir", "data", "--name", "digits", "--preset", "fast", "--epochs", "10")[0] == 0
    code, out, _ = run_cli("predict", "digits", "data/t10k-images-idx3-ubyte.gz", "--json", "--top", "1")
    found = [row["top"][0]["label"] for row in json.loads(out)["predictions"]]
    assert code == 0 and (found == load_dataset(tmp_path / "data").test_labels).mean() > 0.95


def drawings(folder, mode, sizes, ground, ink):
    """Two classes of pictures of each size, all different."""
    for name in ("disc", "bar"):
        (folder / name).mkdir(parents=True)
        for number, (width, height) in enumerate(sizes):
            picture = Image.new(mode, (width, height), ground)
            box = (width // 5, height // 4, width // 5 + 3 + number, 3 * height // 4)
            (ImageDraw.Draw(picture).ellipse if name == "disc" else ImageDraw.Draw(picture).rectangle)(box, fill=ink)
            picture.save(folder / name / f"{number}.png")
    return folder


GREY = {"colour": False}


@pytest.mark.parametrize(
    ("mode", "sizes", "ground", "ink", "how", "expected"),
    [
        ("RGB", [(64, 64)] * 10, "white", "navy", GREY, Preparation("whole", True)),
        ("RGB", [(64, 64)] * 10, "white", "navy", {}, WHOLE),
        ("RGBA", [(50, 40 + n) for n in range(10)], (0, 0, 0, 0), (90, 20, 20, 255), {}, WHOLE),
        ("RGB", [(90 + n, 70) for n in range(10)], "beige", "maroon", {}, WHOLE),
        ("L", [(90 + n, 70) for n in range(10)], 200, 60, {"colour": True}, WHOLE),
        ("RGB", [(200, 150 + n) for n in range(10)], "white", "teal", {"photos": True, **GREY}, PHOTO),
        ("L", [(28, 28)] * 10, 0, 200, {}, Preparation("whole", False)),
        ("L", [(28, 28)] * 10, 255, 60, {}, Preparation("whole", True)),
        ("RGB", [(90 + n, 70) for n in range(10)], "beige", "maroon", GREY, Preparation("whole", True)),
        ("RGBA", [(50, 40 + n) for n in range(10)], (0, 0, 0, 0), (90, 20, 20, 255), GREY, Preparation("whole", True)),
        ("RGB", [(200, 150 + n) for n in range(10)], "white", "teal", {"photos": True}, PHOTO),
        ("RGB", [(64, 64)] * 10, "black", "white", {"image_shape": (20, 30)}, Preparation("whole", False)),
        ("L", [(28, 28)] * 10, 255, 60, {"photos": True}, PHOTO),
    ],
)
def test_files_answer_like_the_data_set_that_was_made_of_them(mode, sizes, ground, ink, how, expected, tmp_path):
    folder = drawings(tmp_path / "in", mode, sizes, ground, ink)
    import_data(folder, tmp_path / "out", **how)
    dataset = load_dataset(tmp_path / "out")
    assert dataset.preparation == expected
    images = np.concatenate([dataset.train_images, dataset.test_images])
    files = sorted(folder.rglob("*.png"))
    read = [read_pictures(str(path), dataset.image_shape, how=dataset.preparation)[0][0] for path in files]
    assert sorted(map(bytes, images)) == sorted(map(bytes, read))


def tinted(folder, tint, kind="png"):
    """Two classes of pictures that are grey but for the red of each second one, which is `tint` levels higher."""
    rng = np.random.default_rng(0)
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.repeat(rng.integers(0, 200, (12, 16, 1), dtype=np.uint8), 3, axis=2)
            pixels[..., 0] += tint * (number % 2)
            Image.fromarray(pixels).save(folder / name / f"{number}.{kind}", quality=75)
    return folder


@pytest.mark.parametrize(
    ("tint", "how", "channels"), [(0, (), 1), (8, (), 1), (50, (), 3), (50, ("--grey",), 1), (0, ("--colour",), 3)]
)
def test_colours_are_kept_if_any_picture_has_some(tint, how, channels, tmp_path, run_cli):
    folder = tinted(tmp_path / "in", tint, "jpg")
    code, out, err = run_cli("data", "import", folder, "--out", tmp_path / "out", *how, "--json")
    assert code == 0, err
    dataset = load_dataset(tmp_path / "out")
    assert dataset.image_shape == (12, 16, channels)
    assert json.loads(out)["image_shape"] == ([12, 16] if channels == 1 else [12, 16, 3])
    assert dataset.preparation.negate is False or channels == 1


def test_pictures_in_colour_are_not_negated(tmp_path):
    folder = tinted(tmp_path / "in", 50)
    with pytest.raises(InputError, match="pictures in colour are not negated"):
        import_data(folder, tmp_path / "out", invert=True)
    import_data(folder, tmp_path / "out", invert=True, colour=False)


def test_what_a_grey_data_set_writes_is_what_it_always_was(tmp_path):
    """Pictures without colour, in whatever mode, give the IDX files of three dimensions that MNIST has."""
    for name, mode in (("plain", "L"), ("red, green and blue", "RGB")):
        folder = write_classes(tmp_path / name, {"a": 5, "b": 5})
        for path in folder.rglob("*.png"):
            Image.open(path).convert(mode).save(path)
        import_data(folder, tmp_path / "out" / name)
    first, second = (load_dataset(tmp_path / "out" / name) for name in ("plain", "red, green and blue"))
    assert first.sha256 == second.sha256
    assert read_idx(tmp_path / "out" / "plain" / "train-images-idx3-ubyte.gz").shape == (8, 7, 9)


@pytest.mark.parametrize("light", [False, True])
def test_photos_become_like_the_images_of_idx_files_that_say_nothing(light, tmp_path):
    images = np.zeros((4, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = 200
    images = 255 - images if light else images
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    how = load_dataset(tmp_path).preparation
    assert how == Preparation("photo", light)
    photo = Image.new("RGB", (200, 200), "white")
    photo.paste((30, 30, 30), (30, 80, 170, 120))
    seen = prepare(photo, (28, 28, 1), how)
    assert (seen[0, 0] > 127) == light and (seen[14, 14] > 127) != light
    own = Image.fromarray(images[0])
    for picture in (own, Image.fromarray(255 - images[0])):
        np.testing.assert_array_equal(prepare(picture, (28, 28, 1), how)[..., 0], images[0])


@pytest.mark.parametrize("text", ['{"method": "odd", "negate": true}', '{"method": "photo"}', "[]", "{", "null"])
def test_a_damaged_preparation_is_named(text, tmp_path):
    import_data(write_classes(tmp_path / "in", {"a": 9, "b": 9}), tmp_path / "out")
    (tmp_path / "out" / "preparation.json").write_text(text)
    with pytest.raises(InputError, match=r"preparation\.json"):
        load_dataset(tmp_path / "out")


SPLITS = {
    "train, val, test": (
        {"train": 4, "val": 2, "test": 3},
        (8, 4, 6),
        {"train": ["train"], "val": ["val"], "test": ["test"]},
    ),
    "sets": ({"training_set": 5, "test_set": 2}, (10, 0, 4), {"train": ["training_set"], "test": ["test_set"]}),
    "twice": (
        {"seg_train/seg_train": 4, "seg_test/seg_test": 1},
        (8, 0, 2),
        {"train": ["seg_train"], "test": ["seg_test"]},
    ),
    "no test": ({"train": 4, "Validation": 2}, (8, 0, 4), {"train": ["train"], "test": ["Validation"]}),
    "train alone": ({"train": 5}, (8, 0, 2), {"train": ["train"], "test": []}),
}


@pytest.mark.parametrize(("parts", "counts", "kept"), SPLITS.values(), ids=SPLITS)
def test_a_split_that_is_given_is_kept(parts, counts, kept, tmp_path, run_cli):
    for place, number in parts.items():
        write_classes(tmp_path / "in" / place, {"cat": number, "dog": number})
    (tmp_path / "in" / "predict" / "predict").mkdir(parents=True)
    Image.new("L", (9, 7)).save(tmp_path / "in" / "predict" / "predict" / "0.png")
    code, out, err = run_cli("data", "import", tmp_path / "in", "--out", tmp_path / "out", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["class_names"] == ["cat", "dog"] and facts["parts"] == {"val": []} | kept
    assert (facts["train"], facts["val"], facts["test"]) == counts
    assert f"Left out  {tmp_path / 'in' / 'predict'}: 1 picture of no known class\n" in err
    data = load_dataset(tmp_path / "out")
    assert data.num_validation == counts[1]
    for part, images in (("test", data.test_images), ("val", data.train_images[counts[0] :])):
        if names := kept.get(part):
            (place,) = [name for name in parts if name.split("/")[0] in names]
            files = sorted((tmp_path / "in" / place).rglob("*.png"))
            assert sorted(map(bytes, images)) == sorted(np.asarray(Image.open(path)).tobytes() for path in files)
    said = run_cli("data", "import", tmp_path / "in", "--out", tmp_path / "again")[1].splitlines()[3]
    assert said.startswith(f"Split      {' and '.join(kept['train'])} for training, ")
    assert said.endswith(" for the test, as it came")


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"train": ("a", "b"), "test": ("a", "c")}, "test and train, and the class c in no part for training"),
        ({"val": ("a", "b"), "test": ("a", "b")}, "holds test and val, which look like splits, not classes"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(parts, problem, tmp_path):
    for part, names in parts.items():
        write_classes(tmp_path / "in" / part, dict.fromkeys(names, 3))
    with pytest.raises(InputError, match=problem):
        import_data(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("names", [("train", "plane"), ("cats", "dogs"), ("valley", "contest")])
def test_classes_whose_names_look_like_parts_stay_classes(names, tmp_path):
    """Though their pictures lie in folders of the same names, such as years, or one has the name of a part."""
    for name in names:
        write_classes(tmp_path / "in" / name, {"2024": 5, "2025": 5})
    facts = import_data(tmp_path / "in", tmp_path / "out")
    assert facts["class_names"] == sorted(names) and facts["parts"] is None


def test_too_few_pictures_say_how_many_are_needed_and_the_advice_holds(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        counts = {name: int(rng.integers(2, 5)) for name in "abc"}
        folder = write_classes(tmp_path / f"in-{number}", counts)
        try:
            import_data(folder, tmp_path / f"out-{number}", test_fraction=0.1)
        except InputError as error:
            told = re.search(
                r"needs 10 readable pictures of each class.*; add pictures, or a `test_fraction` of ([\d.]+)",
                str(error),
            )
            import_data(folder, tmp_path / f"out-{number}", test_fraction=float(told[1]))
    with pytest.raises(
        InputError, match=r"`test_fraction=0.2` needs 5 .* has a 3, b 3, c 3; .* `test_fraction` of 0.34"
    ):
        import_data(write_classes(tmp_path / "in", dict.fromkeys("abc", 3)), tmp_path / "out")
