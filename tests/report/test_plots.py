"""Pictures: what is in them, for every odd history, matrix and set of images; the same input gives the same bytes."""

import html
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image
from support.pages import make_history, write_run

from fmnist.errors import InputError
from fmnist.report import plots
from fmnist.report.plots import study as study_plots
from fmnist.report.plots import style
from fmnist.report.plots.curves import _apart, final_gap
from fmnist.run.history import best_epoch


def texts(paths):
    """All texts of the SVG among the paths: matplotlib writes each as a comment before its letters' outlines."""
    (svg,) = [path for path in paths if path.suffix == ".svg"]
    assert ET.parse(svg).getroot().tag.endswith("svg")
    return [html.unescape(text) for text in re.findall(r"<!-- (.*) -->", svg.read_text("utf-8"))]


def check_pair(paths, stem):
    """Both files are there, and the PNG is not blank."""
    assert [path.name for path in paths] == [f"{stem}.png", f"{stem}.svg"]
    with Image.open(paths[0]) as image:
        assert round(image.info["dpi"][0]) == 150
        assert image.convert("L").getextrema()[0] < 100


def test_the_trend_that_the_diagnosis_tells_is_drawn_and_named(tmp_path):
    """So that its end and the measured one, which differ by the jitter, both stand there with their names."""
    history = make_history(20)
    trend = [(epoch, 0.5 - 0.01 * epoch) for epoch in range(1, 21)]
    found = texts(plots.curves(history, tmp_path / "curves", "Curves", trend=trend))
    assert "its trend 0.300" in found and f"validation {history[-1]['val_loss']:.3f}" in found
    assert not any("trend" in text for text in texts(plots.curves(history, tmp_path / "plain", "Curves")))


def test_best_epoch_and_final_gap():
    history = [
        {"epoch": 1, "val_loss": 0.5, "train_accuracy": 0.8, "val_accuracy": 0.75},
        {"epoch": 2, "val_loss": 0.3, "train_accuracy": 0.9, "val_accuracy": 0.85},
        {"epoch": 3, "val_loss": 0.3, "train_accuracy": 0.95, "val_accuracy": 0.875},
    ]
    assert best_epoch(history) == 2
    assert final_gap(history) == pytest.approx(0.075)
    assert best_epoch([{"epoch": 1}]) is None
    assert final_gap([{"epoch": 1, "val_accuracy": 0.5}]) is None
    assert final_gap([]) is None


@pytest.mark.parametrize(
    ("epochs", "without", "expected", "absent"),
    [
        (1, (), {"training 95.0%", "validation 90.0%", "gap 5.0 points", "running average"}, "best epoch"),
        (2, (), {"best epoch: 1", "lowest validation loss: epoch 1", "gap 5.0 points"}, "%%"),
        (200, (), {"best epoch: 68", "training 0.200", "validation 0.836"}, "%%"),
        (20, ("val_loss", "val_accuracy"), {"training 95.0%", "running average"}, "validation"),
        (20, ("train_loss", "train_accuracy"), {"validation 90.0%", "best epoch: 7"}, "gap"),
    ],
)
def test_curves(tmp_path, epochs, without, expected, absent):
    paths = plots.curves(make_history(epochs, without), tmp_path / "curves", title="A run")
    check_pair(paths, "curves")
    assert expected | {"A run"} <= set(texts(paths))
    assert not [text for text in texts(paths) if absent in text]


def test_a_negative_gap_has_a_minus_sign(tmp_path):
    history = [{"epoch": 1, "train_accuracy": 0.9, "val_accuracy": 0.912}]
    assert "gap \N{MINUS SIGN}1.2 points" in texts(plots.curves(history, tmp_path / "curves", title=""))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.52, 0.9], [0.46, 0.56, 0.9]),
        ([0.5, 0.5, 0.55], [0.5 - 0.1 + 1 / 60, 0.5 + 1 / 60, 0.6 + 1 / 60]),
        ([], []),
    ],
)
def test_labels_are_moved_apart_as_little_as_possible(places, expected):
    assert _apart(places, 0.1) == pytest.approx(expected)


def test_sample_sheet_shows_every_pixel(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    paths = plots.sample_sheet(images, np.arange(12) % 2, ["cat", "dog"], tmp_path / "samples.png", "Pets")
    check_pair(paths, "samples")
    assert texts(paths) == ["cat", "dog"] * 6 + ["Pets"]
    with Image.open(paths[0]) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    dots, side, top, step = 4, 6, 16, 28 + 4  # a pixel of an image is 4 dots wide, margins are in pixels of an image
    ink = np.array([int(style.INK[i : i + 2], 16) for i in (1, 3, 5)])
    for index in range(10):
        left = (side + index * step) * dots
        drawn = pixels[top * dots : (top + 28) * dots, left : left + 28 * dots].reshape(28, dots, 28, dots, 3)
        assert (drawn.max(axis=(1, 3)) == drawn.min(axis=(1, 3))).all(), "a pixel is not a square of one colour"
        opacity = (12 + images[index] * (243 / 255)) / 255
        wanted = 255 + opacity[..., None] * (ink - 255)
        assert np.abs(drawn[:, 0, :, 0] - wanted).max() <= 2


def test_images_of_any_shape(tmp_path):
    images = np.zeros((3, 20, 33), np.uint8)
    names = ["a name far too long for its place", "$x$"]
    paths = plots.sample_sheet(images, [0, 1, 0], names, tmp_path / "s", "", columns=2)
    assert texts(paths)[:2] == ["a name far…", "$x$"]


def test_mistakes_come_most_confident_first(tmp_path):
    probabilities = np.array([[0.3, 0.7], [0.9, 0.1], [0.004, 0.996], [0.02, 0.98]])
    images = np.zeros((4, 28, 28), np.uint8)
    paths = plots.mistakes(images, np.array([0, 0, 0, 0]), probabilities, ["Coat", "Shirt"], tmp_path / "m", count=2)
    check_pair(paths, "m")
    wanted = ["Shirt, >99%", "is: Coat", "Shirt, 98%", "is: Coat", "The 2 most confident of 3 mistakes"]
    assert texts(paths) == wanted


def test_no_mistake_at_all(tmp_path):
    paths = plots.mistakes(np.zeros((2, 28, 28), np.uint8), np.array([0, 1]), np.eye(2), ["a", "b"], tmp_path / "m")
    check_pair(paths, "m")
    assert texts(paths) == ["No mistakes: all 2 images are classified correctly."]


@pytest.mark.parametrize("number", [2, 10, 30])
def test_confusion(tmp_path, number):
    matrix = np.diag(np.arange(number)) * 100 + np.eye(number, k=1, dtype=int) * 7
    names = [f"class {index}" for index in range(number)]
    paths = plots.confusion(matrix, names, tmp_path / "confusion", title="Mixed up")
    check_pair(paths, "confusion")
    found = texts(paths)
    assert found.count("7") == number - 1
    assert "0" not in found
    assert {"Mixed up", "true class", "predicted class", *names} <= set(found)


def test_reliability(tmp_path):
    """Half of the answers of 90% are right, and all of those of 60%; nothing is drawn for empty bins."""
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 6)
    labels = np.array([0, 1] * 5 + [1] * 6)
    paths = plots.draw_reliability(probabilities, labels, tmp_path / "reliability", "How sure")
    check_pair(paths, "reliability")
    wanted = {"How sure", "Accuracy, %: as the model gives it", "40.0% off on average", "62%"}
    assert wanted <= set(texts(paths)) and "nan" not in paths[1].read_text("utf-8")
    found = texts(plots.draw_reliability(probabilities, labels, tmp_path / "both", "How sure", temperature=0.5))
    assert {"Accuracy, %: as the model gives it", "Accuracy, %: calibrated, temperature 0.5"} <= set(found)


def test_the_same_input_gives_the_same_bytes_whatever_the_users_style(tmp_path):
    def draw(stem):
        return [path.read_bytes() for path in plots.curves(make_history(5), tmp_path / stem, title="A run")]

    first = draw("first")
    with matplotlib.rc_context({"savefig.bbox": "tight", "axes.facecolor": "black", "lines.linewidth": 9}):
        assert draw("second") == first
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_letters_that_the_usual_font_lacks_come_from_an_installed_one(monkeypatch):
    assert style.families()[0] == "DejaVu Sans"
    fonts = [font_manager.FontEntry(name=name) for name in ("Yu Gothic", "Comic Sans MS", "Noto Sans CJK SC")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    with style.styled():
        assert matplotlib.rcParams["font.family"] == ["DejaVu Sans", "Noto Sans CJK SC", "Yu Gothic"]
    assert "Yu Gothic" not in matplotlib.rcParams["font.family"]


def test_draw_all(tmp_path, tiny_dataset):
    run = write_run(tmp_path / "run", tiny_dataset)
    stems = ["curves", "samples-train", "samples-test", "confusion", "mistakes", "reliability"]
    wanted = [run.plots / f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    assert plots.draw_all(run, tiny_dataset) == wanted
    assert sorted(run.plots.iterdir()) == sorted(wanted), "nothing else is left there"


def test_draw_all_leaves_out_what_is_missing(tmp_path, tiny_dataset):
    run = write_run(tmp_path / "run", tiny_dataset)
    for path in (run.history, run.metrics, run.predictions, run.environment):
        path.unlink()
    assert {path.stem for path in plots.draw_all(run, tiny_dataset)} == {"samples-train", "samples-test"}


def test_draw_all_refuses_other_data(tmp_path, tiny_dataset):
    run = write_run(tmp_path / "run", tiny_dataset)
    other = replace(tiny_dataset, sha256={"train-images-idx3-ubyte": "0"})
    with pytest.raises(InputError, match=r"trained on other data than .* `data_dir`"):
        plots.draw_all(run, other)


def test_draw_all_refuses_broken_predictions(tmp_path, tiny_dataset):
    run = write_run(tmp_path / "run", tiny_dataset)
    np.savez(run.predictions, probabilities=np.zeros((3, 10)), labels=np.zeros(3, int))
    with pytest.raises(InputError, match=r"holds probabilities \(3, 10\), expected \(200, 10\)"):
        plots.draw_all(run, tiny_dataset)
    np.save(npy := io.BytesIO(), np.zeros((200, 10)))
    for content in (b"", b"PK\x03\x04 no zip", npy.getvalue()):
        run.predictions.write_bytes(content)
        with pytest.raises(InputError, match="`fmnist evaluate .*` makes it again"):
            plots.draw_all(run, tiny_dataset)


@pytest.fixture
def averages():
    """The curves of a baseline and nine variants, two seeds each, whose losses begin high and end low."""

    def run(number, seed):
        losses = {"train_loss": 2.3 + 0.1 * seed, "val_loss": 2.2 - 0.1 * seed}
        rows = [{"epoch": epoch} | {key: loss / epoch for key, loss in losses.items()} for epoch in range(1, 13)]
        return [row | {"val_accuracy": 0.9 - 0.1 * row["val_loss"] + 0.001 * number} for row in rows]

    return {f"variant {number}": study_plots.average([run(number, seed) for seed in (0, 1)]) for number in range(10)}


def test_curves_of_runs_that_end_at_different_epochs_are_averaged():
    runs = [[{"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.5}], [{"epoch": 1, "val_loss": 3.0}]]
    assert study_plots.average(runs) == {
        "train_loss": [], "val_loss": [(1, 2.0, pytest.approx(2**0.5)), (2, 0.5, 0.0)], "val_accuracy": []
    }  # fmt: skip


@pytest.mark.parametrize("draw", [study_plots.overlay, study_plots.panels])
def test_the_curves_of_a_study_stay_inside_their_frame(draw, averages, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, stem: figures.append(figure))
    draw(averages, tmp_path / "curves", "A study")
    for axes in figures[0].axes:
        left, right, low, high = *axes.get_xlim(), *axes.get_ylim()
        shapes = [line.get_xydata() for line in axes.lines] + [
            band.get_paths()[0].vertices for band in axes.collections
        ]
        for x, y in (shape.T for shape in shapes):
            assert left <= x.min() and x.max() <= right and low <= y.min() and y.max() <= high


def test_blue_and_orange_say_training_and_validation_alone(averages, tmp_path):
    """A variant has another colour, and a better one too."""
    found = [study_plots.Effect("better", 2.0, 1.0), study_plots.Effect("worse", -2.0, 1.0)]
    study_plots.effects({"Accuracy": found}, tmp_path / "effects", "A study")
    study_plots.overlay(averages, tmp_path / "curves", "A study")
    for name in ("effects", "curves"):
        drawn = (tmp_path / f"{name}.svg").read_text("utf-8")
        assert style.TRAINING not in drawn and style.VALIDATION not in drawn
