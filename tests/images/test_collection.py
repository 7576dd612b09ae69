"""Pictures of classes that are recorded one by one: names that are folders, bounds, and what stays outside."""

import numpy as np
import pytest
from PIL import Image

from fmnist import import_data
from fmnist.errors import InputError, RunError
from fmnist.images import collection
from fmnist.images.collection import Collection, collections, safe_name

PIXELS = np.full((8, 8, 3), [200, 30, 90], np.uint8)


@pytest.fixture
def things(tmp_path):
    return Collection(tmp_path / "teach" / "things")


def test_pictures_are_files_at_once_and_the_last_one_can_be_taken_back(things):
    assert things.classes() == {} and collections(things.folder.parent) == []
    things.add_class("cup")
    assert [things.add("cup", PIXELS - number) for number in range(3)] == [1, 2, 3]
    (pictures,) = things.classes().values()
    assert [np.asarray(Image.open(path))[0, 0, 0] for path in pictures] == [200, 199, 198]
    assert collections(things.folder.parent) == ["things"]
    things.remove_last("cup")
    assert things.classes() == {"cup": pictures[:2]}
    things.remove_class("cup")
    assert things.classes() == {} and list(things.folder.iterdir()) == []


def test_what_is_recorded_can_be_imported(things, tmp_path):
    for name in ("cup", "ein Buch", "जूता", "杯子"):
        things.add_class(name)
        for number in range(5):
            things.add(name, PIXELS + number)
    facts = import_data(things.folder, tmp_path / "data", colour=True)
    assert sorted(facts["class_names"]) == sorted(["cup", "ein Buch", "जूता", "杯子"])
    assert (facts["images"], facts["image_shape"], facts["unreadable"]) == (20, [8, 8, 3], [])


@pytest.mark.parametrize(
    "name",
    ["", " ", "\t", ".", "..", "../up", "/etc", "a/b", "a\\b", ".hidden", "a\0b", "a\x1b[31m", "\u202egnp", "x" * 41,
     "C:", "a*", "what?", "-rf", "__MACOSX", "Thumbs.db", "end.", "\ud800", '"', "a|b", "<script>"],
)  # fmt: skip
def test_a_name_that_could_be_something_else_than_a_folder_is_refused(things, name):
    with pytest.raises(InputError, match="nothing can be named") as refused:
        things.add_class(name)
    assert str(refused.value).isprintable() and not things.folder.exists()


def test_a_name_is_tidied():
    assert safe_name("  my   cup\n") == "my cup"
    assert safe_name("Cafe\u0301") == "Caf\u00e9"


@pytest.mark.parametrize("name", ["book", "..", "", "../other", "/tmp"])
def test_nothing_happens_to_a_class_that_is_not_there(things, name):
    other = Collection(things.folder.parent / "other")
    for one in (things, other):
        one.add_class("cup")
    for act in (things.remove_class, things.remove_last, lambda name: things.add(name, PIXELS)):
        with pytest.raises(InputError, match="there is no class"):
            act(name)
    assert [*things.classes(), *other.classes()] == ["cup", "cup"]


def test_there_are_bounds(things, monkeypatch):
    for name, most in (("MAX_CLASSES", 2), ("MAX_PICTURES", 2), ("MAX_COLLECTIONS", 1)):
        monkeypatch.setattr(collection, name, most)
    things.add_class("cup")
    with pytest.raises(InputError, match="there is a class 'CUP' already"):
        things.add_class("CUP")
    things.add_class("book")
    with pytest.raises(InputError, match="there are 2 classes"):
        things.add_class("ball")
    things.add("cup", PIXELS)
    things.add("cup", PIXELS)
    with pytest.raises(InputError, match="'cup' has 2 pictures"):
        things.add("cup", PIXELS)
    with pytest.raises(InputError, match="holds 1 collections"):
        Collection(things.folder.parent / "more").add_class("cup")


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use"):
        Collection(tmp_path / "file" / "things").add_class("cup")
