"""The pictures of a run, as PNG (150 dpi) and SVG: learning curves, samples, confusion matrix, mistakes.

Drawn through matplotlib's object interface on its bundled font, without a display: the same numbers give the same SVG.
Every colour is one of the few below, so that the report can exchange them for those of a dark page.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist.errors import InputError
from fmnist.rundir import RunDirectory, atomic_path, read_history, read_json

if TYPE_CHECKING:
    from fmnist.data import Dataset

History = Sequence[dict[str, float]]

DPI = 150
# In inches: the strip at the top of every figure that holds only its title, and those at the sides that hold nothing.
# The report has headlines of its own and cuts them off.
TITLE_STRIP, SIDE_STRIP = 0.42, 0.1
_LEFT = 0.155  # where titles and images begin
PAPER, INK, MUTED, FAINT = "#ffffff", "#1b2430", "#566272", "#dfe3e8"
# Blue and orange of Okabe and Ito's palette for colour-blind readers, the orange darkened to a contrast of 5 on white.
TRAINING, VALIDATION = "#0072b2", "#bf4f00"
# Mistakes are laid over the page with an opacity of at most 0.7, on which dark and light text can both be read.
MISTAKE = "#d65a00"

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.unicode_minus": True,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "image.composite_image": False,  # otherwise the SVG gets pictures resampled to 72 dpi
    "svg.fonttype": "path",
    "svg.hashsalt": "fmnist",
}
_SAMPLES = 40


def best_epoch(history: History) -> int | None:
    """Return the epoch (from 1) with the lowest validation loss, the first of equals; None without validation."""
    rows = [row for row in history if "val_loss" in row]
    return int(min(rows, key=lambda row: row["val_loss"])["epoch"]) if rows else None


def final_gap(history: History) -> float | None:
    """Return measured training accuracy minus validation accuracy (-1 to 1) after the last epoch, if both are there."""
    if not history or not {"train_accuracy", "val_accuracy"} <= history[-1].keys():
        return None
    return history[-1]["train_accuracy"] - history[-1]["val_accuracy"]


@matplotlib.rc_context(_STYLE)
def curves(history: History, path_stem: Path, title: str) -> list[Path]:
    """Draw accuracy and loss over the epochs, side by side.

    Args:
        history: rows as `fmnist.rundir.read_history` returns them, at least one; any column but epoch may be missing.
        path_stem: where to write, without `.png` and `.svg`.
        title: headline of the figure.

    Returns:
        The two files.
    """
    figure = Figure(figsize=(10, 3.9))
    _title(figure, title)
    best = best_epoch(history) if len(history) > 1 else None
    for left, name, unit, factor in ((0.05, "accuracy", "Accuracy, %", 100), (0.55, "loss", "Loss (cross-entropy)", 1)):
        axes = figure.add_axes((left, 0.125, 0.315, 0.655))
        axes.set_title(unit, loc="left", size=9, color=MUTED, pad=18)
        axes.set_xlabel("Epoch")
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.tick_params(length=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ends = list(_lines(axes, history, name, factor))
        margin = 0.02 * (len(history) - 1) or 0.5
        axes.set_xlim(history[0]["epoch"] - min(margin, 0.9), history[-1]["epoch"] + margin)  # no epoch 0
        gap = final_gap(history)
        if name == "accuracy" and gap is not None:
            pair = [history[-1][key] * 100 for key in ("train_accuracy", "val_accuracy")]
            x = [1.02, 1.035, 1.035, 1.02]
            axes.plot(
                x, np.repeat(pair, 2), color=MUTED, linewidth=1, clip_on=False, transform=axes.get_yaxis_transform()
            )
            ends.append((sum(pair) / 2, f"gap {100 * gap:.1f} points".replace("-", "\N{MINUS SIGN}"), INK))
        _label_ends(axes, ends)
        if best is not None:
            _mark(axes, best, f"best epoch: {best}" if name == "accuracy" else f"lowest validation loss: epoch {best}")
    return _save(figure, path_stem)


def _lines(axes: Axes, history: History, name: str, factor: float) -> Iterator[tuple[float, str, str]]:
    """Draw the lines of one quantity; yield last value, label and colour of each."""
    number = "{:.1f}%" if name == "accuracy" else "{:.3f}"
    for key, label, colour, style in (
        (
            name,
            "running average",
            MUTED,
            {"color": TRAINING, "alpha": 0.6, "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
        ),
        (f"train_{name}", f"training {number}", TRAINING, {"color": TRAINING, "linewidth": 1.8}),
        (f"val_{name}", f"validation {number}", VALIDATION, {"color": VALIDATION, "linewidth": 1.8}),
    ):
        points = [(row["epoch"], factor * row[key]) for row in history if key in row]
        if points:
            dots = {"marker": "o", "markersize": 3.5} if len(points) <= (1 if key == name else 12) else {}
            axes.plot(*zip(*points, strict=True), solid_capstyle="round", **style, **dots)
            yield points[-1][1], label.format(points[-1][1]), colour


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write labels right of the axes at the height of their values, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    places = _apart([(value - low) / (high - low) for value, _, _ in ends], 0.068)
    for place, (_, text, colour) in zip(places, ends, strict=True):
        weight = "normal" if colour == MUTED else "bold"
        axes.text(1.05, place, text, color=colour, size=8, weight=weight, va="center", transform=axes.transAxes)


def _apart(places: Sequence[float], distance: float) -> list[float]:
    """Return ascending places moved as little as possible (least squares) to lie at least `distance` apart."""
    groups: list[list[float]] = []
    for number, place in enumerate(places):
        groups.append([place - number * distance])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    means = [float(np.mean(group)) for group in groups for _ in group]
    return [mean + number * distance for number, mean in enumerate(means)]


def _mark(axes: Axes, epoch: int, text: str) -> None:
    """Draw a quiet vertical line at an epoch, its label above the axes and inside their width."""
    axes.axvline(epoch, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    low, high = axes.get_xlim()
    share = (epoch - low) / (high - low)
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    axes.text(share, 1.015, text, color=MUTED, size=8, ha=side, va="bottom", transform=axes.transAxes)


@matplotlib.rc_context(_STYLE)
def sample_sheet(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    path_stem: Path,
    title: str,
    *,
    columns: int = 10,
) -> list[Path]:
    """Draw images in rows with their class below.

    Args:
        images: uint8 (N, H, W), at least one; all are drawn.
        labels: integer (N,).
        class_names: a name for each label.
        path_stem: where to write, without `.png` and `.svg`.
        title: headline of the figure.
        columns: images a row.

    Returns:
        The two files.
    """
    captions = [[(class_names[label], MUTED)] for label in labels]
    return _save(_tiles(images, captions, title, columns, size=0.75), path_stem)


@matplotlib.rc_context(_STYLE)
def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    path_stem: Path,
    *,
    count: int = 24,
) -> list[Path]:
    """Draw the wrongly classified images of which the model was surest.

    Args:
        images: uint8 (N, H, W).
        labels: integer (N,), the true classes.
        probabilities: float (N, classes).
        class_names: a name for each class.
        path_stem: where to write, without `.png` and `.svg`.
        count: images at most.

    Returns:
        The two files.
    """
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    if not len(wrong):
        figure = Figure(figsize=(7, 1))
        figure.text(
            _LEFT / 7, 0.3, f"No mistakes: all {len(labels):,} images were classified rightly.", size=11, va="center"
        )
        return _save(figure, path_stem)
    surest = wrong[np.argsort(-confidences[wrong], kind="stable")][:count]
    captions = [
        [
            (f"{class_names[predictions[index]]}, {_percent(confidences[index])}", VALIDATION),
            (f"is: {class_names[labels[index]]}", INK),
        ]
        for index in surest
    ]
    title = f"The {len(surest)} most confident of {len(wrong):,} mistakes" if len(surest) > 1 else "The only mistake"
    return _save(_tiles(images[surest], captions, title, 6, size=1.3), path_stem)


def _percent(share: float) -> str:
    """Format a confidence; one that is not quite 100% does not say so."""
    return ">99%" if share > 0.995 else f"{100 * share:.0f}%"


def _tiles(
    images: np.ndarray,
    captions: Sequence[Sequence[tuple[str, str]]],
    title: str,
    columns: int,
    *,
    size: float,
) -> Figure:
    """Compose images, each with lines of (text, colour) below, in a single picture: 24 axes would take ten times as long.

    An image is about `size` inches wide. Its pixels become squares of whole dots, dark on light; 0 is all but transparent.
    """
    number, height, width = images.shape
    dots = max(1, round(size * DPI / width))  # a pixel of the picture, in dots
    inch = DPI / dots  # in pixels of the picture
    step_x = width + round(2 * (_LEFT - SIDE_STRIP) * inch)  # so that the report can cut between two columns
    step_y = round(height + (0.16 + 0.15 * len(captions[0])) * inch)
    top, side = round(0.52 * inch), round(_LEFT * inch)
    rows = -(-number // columns)
    shape = top + rows * step_y, 2 * side + (columns - 1) * step_x + width
    figure = Figure(figsize=(shape[1] / inch, shape[0] / inch))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, shape[1]), ylim=(shape[0], 0))
    axes.axis("off")
    picture = np.zeros((*shape, 4), np.uint8)
    picture[..., :3] = [round(255 * part) for part in to_rgb(INK)]
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        x, y = side + index % columns * step_x, top + index // columns * step_y
        picture[y : y + height, x : x + width, 3] = 12 + image * (243 / 255)  # 12: the edge of an image shows
        for number, (text, colour) in enumerate(lines):
            below = y + height + (0.05 + 0.145 * number) * inch
            text = _shorten(text, round(step_x / inch * 72 / 4.3))
            axes.text(x, below, text, color=colour, size=7.5, va="top")
    axes.imshow(picture, interpolation="none", extent=(0, shape[1], shape[0], 0), aspect="auto")
    _title(figure, title)
    return figure


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


@matplotlib.rc_context(_STYLE)
def confusion(matrix: np.ndarray, class_names: Sequence[str], path_stem: Path, title: str) -> list[Path]:
    """Draw a confusion matrix in which the mistakes stand out: the darker, the larger the share of the row.

    Args:
        matrix: integer (classes, classes), rows true, columns predicted.
        class_names: a name for each class.
        path_stem: where to write, without `.png` and `.svg`.
        title: headline of the figure.

    Returns:
        The two files.
    """
    matrix = np.asarray(matrix)
    number = len(matrix)
    names = [_shorten(name, 18) for name in class_names]
    cell = min(max(5.8 / number, 0.34), 0.95)  # inches
    margin = 0.5 + 0.072 * max(map(len, names))  # inches, for the names at the left
    bottom, top, right = 0.4 + 0.055 * max(map(len, names)), 0.86, 0.3
    width, height = max(margin + cell * number + right, 4.6), bottom + cell * number + top
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((margin / width, bottom / height, cell * number / width, cell * number / height))

    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    colours = np.tile(to_rgba(MISTAKE), (number, number, 1))
    # The square root keeps rare mistakes visible; rows without a mistake of 5% are not blown up to full colour.
    colours[..., 3] = 0.7 * np.sqrt(share / max(share.max(), 0.05))
    colours[matrix == 0] = to_rgba(MUTED, 0.04)
    colours[np.diag_indices(number)] = to_rgba(MUTED, 0.15)
    axes.pcolormesh(colours, edgecolors=PAPER, linewidth=1)
    axes.set(xlim=(0, number), ylim=(number, 0))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    size = max(min(cell * 72 / max(len(str(matrix.max())), 3) / 0.9, 9.5), 4)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = MUTED if row == column else INK
            axes.text(column + 0.5, row + 0.52, str(count), size=size, color=colour, ha="center", va="center")
    axes.set_yticks(np.arange(number) + 0.5, names, size=8.5)
    axes.set_xticks(np.arange(number) + 0.5, names, size=8.5, rotation=38, ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    _title(figure, title)
    note = "Grey: right. Orange: wrong, the darker, the larger the share of the row."
    figure.text(_LEFT / width, 1 - 0.5 / height, note, size=8, color=MUTED, va="top")
    return _save(figure, path_stem)


def draw_all(run: RunDirectory, dataset: Dataset) -> list[Path]:
    """Draw into `plots/` of a run all that its files allow.

    Args:
        run: what is missing in it is left out: the history, the metrics, the predictions.
        dataset: the data that the run was trained on.

    Returns:
        The files written: curves, samples-train, samples-test, confusion and mistakes, each as PNG and SVG.

    Raises:
        InputError: the data is not what the run was trained on, or a file of the run cannot be read.
    """
    _check_data(run, dataset)
    names, paths = dataset.class_names, []
    if run.history.is_file() and (history := read_history(run.history)):
        paths += curves(history, run.plots / "curves", f"Learning curves of {_shorten(run.name, 60)}")
    for part, images, labels in (
        ("train", dataset.train_images[:_SAMPLES], dataset.train_labels[:_SAMPLES]),
        ("test", dataset.test_images[:_SAMPLES], dataset.test_labels[:_SAMPLES]),
    ):
        title = f"The first {'training' if part == 'train' else part} images"
        paths += sample_sheet(images, labels, names, run.plots / f"samples-{part}", title)
    if run.metrics.is_file():
        matrix = np.array(read_json(run.metrics)["confusion_matrix"])
        paths += confusion(matrix, names, run.plots / "confusion", f"Confusion of {matrix.sum():,} test images")
    if run.predictions.is_file():
        probabilities = _read_probabilities(run.predictions, dataset)
        paths += mistakes(dataset.test_images, dataset.test_labels, probabilities, names, run.plots / "mistakes")
    return paths


def _check_data(run: RunDirectory, dataset: Dataset) -> None:
    trained_on = read_json(run.environment).get("data_sha256") if run.environment.is_file() else None
    if trained_on and trained_on != dataset.sha256:
        raise InputError(f"{run.path} was trained on other data than {dataset.source}; give its data with --data-dir")


def _read_probabilities(path: Path, dataset: Dataset) -> np.ndarray:
    """Return float (N, classes), one row for each test image."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probabilities: np.ndarray = arrays["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}; `fmnist evaluate {path.parent}` makes it again") from error
    expected = (len(dataset.test_labels), dataset.num_classes)
    if probabilities.shape != expected:
        raise InputError(
            f"{path} holds probabilities {probabilities.shape}, expected {expected} for {dataset.source}; "
            f"`fmnist evaluate {path.parent}` makes it again"
        )
    return probabilities


def _title(figure: Figure, text: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(_LEFT / width, 1 - 0.14 / height, text, size=12, weight="bold", va="top")


def _save(figure: Figure, path_stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG; files with the same content are the same bytes."""
    stem = path_stem.with_suffix("") if path_stem.suffix in (".png", ".svg") else path_stem
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    nothing: dict[str, Any] = {"png": {"Software": None}, "svg": dict.fromkeys(("Creator", "Date", "Format", "Type"))}
    for path in paths:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata=nothing[path.suffix[1:]], facecolor=PAPER)
    return paths
