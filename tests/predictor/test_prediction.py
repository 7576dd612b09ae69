"""`Predictor.predict`: one picture or many, from files, folders, patterns and arrays; what a prediction tells."""

import numpy as np
import pytest
from PIL import Image

from fmnist.data.idx import write_idx
from fmnist.errors import InputError
from fmnist.evaluation import novelty
from fmnist.images.cutout import CutOut
from fmnist.predictor.prediction import Prediction
from fmnist.predictor.predictor import Predictor

NAMES = ("dark", "middling", "light")


def compute(batch):
    """Probabilities by the mean level: 0 is surely dark, 255 surely light."""
    mean = batch.reshape(len(batch), -1).mean(axis=1) / 255
    return np.stack([(1 - mean) ** 2, 2 * mean * (1 - mean), mean**2], axis=1).astype(np.float32)


MODEL = Predictor(compute, "onnx", NAMES, (8, 6, 1))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, level in (("a.png", 0), ("b.png", 255), ("c.png", 51)):
        Image.new("L", (6, 8), level).save(tmp_path / name)
    return tmp_path


def test_one_picture(folder):
    found = MODEL.predict(folder / "c.png")
    assert isinstance(found, Prediction)
    assert (found.class_name, found.label, found.image, found.index) == ("dark", 0, str(folder / "c.png"), None)
    assert found.probability == pytest.approx(0.64)
    assert found.others == pytest.approx({"middling": 0.32, "light": 0.04}) and next(iter(found.others)) == "middling"
    assert found.top(2) == [(0, "dark", found.probability), (1, "middling", found.others["middling"])]
    assert found.familiar is None and (found.picture == 51).all()


def test_its_text():
    picture, shares = np.zeros((8, 6, 1), np.uint8), np.array([0.002, 0.7, 0.298], np.float32)
    classes = "middling 70.0%, light 29.8%, dark 0.2%"
    assert repr(Prediction(NAMES, shares, picture)) == f"<Prediction {classes}>"
    assert repr(Prediction(NAMES, shares, picture, "a.png")) == f"<Prediction a.png: {classes}>"
    assert repr(Prediction(NAMES, shares, picture, "x.npy", 3, 0.2)) == f"<Prediction x.npy[3]: {classes}>"
    assert repr(Prediction(NAMES, shares, picture, None, 3, 1.2)) == f"<Prediction [3]: {classes}; unfamiliar>"
    doubted = Prediction(NAMES, shares, picture, "a.png", None, 1.2, CutOut(90.0, 2))
    assert repr(doubted) == f"<Prediction a.png: {classes}; unfamiliar; several objects>"
    assert doubted.doubts == ["several objects"]


def test_whatever_may_stand_for_more_gives_a_list(folder):
    images = np.stack([np.full((8, 6), level, np.uint8) for level in (0, 255)])
    write_idx(folder / "x-idx3-ubyte.gz", images)
    expected = {
        ".": ["dark", "light", "dark"],
        "[bc].png": ["light", "dark"],
        "c*.png": ["dark"],
        "x-idx3-ubyte.gz": ["dark", "light"],
    }
    for given, classes in expected.items():
        assert [one.class_name for one in MODEL.predict(given)] == classes, given
    assert [one.class_name for one in MODEL.predict(["b.png", folder / "a.png"])] == ["light", "dark"]
    assert [(one.class_name, one.index) for one in MODEL.predict(images)] == [("dark", 0), ("light", 1)]
    assert MODEL.predict(images[1]).class_name == "light" and MODEL.predict(images[:0]) == []


def test_all_that_cannot_be_read_is_named_at_once(folder):
    with pytest.raises(InputError, match="^missing.png: cannot be read"):
        MODEL.predict("missing.png")
    with pytest.raises(InputError, match=r"these cannot be read:\n  x.jpg: .*\n  y.jpg: "):
        MODEL.predict(["a.png", "x.jpg", "y.jpg"])
    with pytest.raises(InputError, match=r"expected uint8 \(N, 8, 6\), 0 to 255, as the model takes it"):
        MODEL.predict(np.zeros((2, 28, 28), np.uint8))


def test_whether_it_is_familiar():
    rng = np.random.default_rng(0)
    seen = rng.integers(90, 111, (200, 8, 6, 1)).astype(np.uint8)
    known = novelty.fit(seen, np.zeros(200, int), rng.integers(90, 111, (50, 8, 6, 1)).astype(np.uint8))
    model = Predictor(compute, "onnx", NAMES, (8, 6, 1), novelty=known)
    assert model.predict(rng.integers(90, 111, (8, 6)).astype(np.uint8)).familiar is True
    strange = model.predict(np.full((8, 6), 255, np.uint8))
    assert strange.familiar is False and strange.unfamiliarity > novelty.THRESHOLD
