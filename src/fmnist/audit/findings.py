"""Says what is odd about single images: labels, copies, outliers, blank ones. Each kind is a row of `KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fmnist.audit import copies
from fmnist.audit.folds import OutOfFold
from fmnist.data.dataset import Dataset
from fmnist.data.decisions import TEST, TRAIN, digest

# An outlier is further from what is typical than so many times the distance that 2% of the images lie beyond.
OUTLIER = 2.0
# The pixels of a blank image spread by less than so many levels (standard deviation).
BLANK = 4.0
# Its brightness is extreme where it lies further outside the middle half of the training images than so many times the
# width of that half. Source: J. W. Tukey, "Exploratory Data Analysis", 1977: "far out".
FAR_OUT = 3.0
_TOGETHER = 2000  # images that are held as floats at a time

Place = tuple[str, int]
"""A part, and the index of an image in it."""


@dataclass(frozen=True)
class Finding:
    """Something odd about an image.

    Attributes:
        kind: a name of `KINDS`.
        part: `train` or `test`, and `index`: the image's place in it, from 0.
        score: how odd it is; more is worse. Its unit depends on the kind.
        given: the name of its class.
        model: the class that networks think of which did not learn from it, and `probability`, 0 to 1, that it is that.
        copy_of: of a copy, part and index of the image that comes first (`test 17`), and `copy_given`, its class.
        sha256: the first 16 hexadecimal digits of the image's.
    """

    kind: str
    part: str
    index: int
    score: float
    given: str
    model: str
    probability: float
    copy_of: str
    copy_given: str
    sha256: str


class Kind(NamedTuple):
    """What images can be, and how that is said."""

    title: str  # of several
    score: str  # what the score is
    meaning: str


KINDS = {
    "label": Kind(
        "Labels that look wrong",
        "1 − probability of the given class",
        "Networks that did not learn from the image think that it belongs to another class, and are surer of that than "
        "they usually are (confident learning). The most doubtful one comes first.",
    ),
    "copy": Kind(
        "Exact copies",
        "1",
        "The same image, byte for byte, stands in the data before. A training image that is also a test image makes "
        "scores on the test too high.",
    ),
    "near-copy": Kind(
        "Near copies",
        "correlation of the pixels",
        f"At the best shift, {copies.SHIFT} pixel at most to each side, the levels of the two correlate at "
        f"{copies.ALIKE:g} or more.",
    ),
    "outlier": Kind(
        "Outliers",
        "unfamiliarity",
        "The image is unlike the images of every class, by the score that also finds pictures which are no garment. "
        "It may be rare, not wrong.",
    ),
    "blank": Kind("Blank images", "1 − spread of the levels ÷ 4", "All pixels have nearly the same level."),
    "brightness": Kind(
        "Very dark or very bright images",
        "distance from the middle half, in widths of it",
        "The mean level lies far from that of nearly all other images.",
    ),
}


def find_all(dataset: Dataset, known: OutOfFold, progress: Callable[[int, int], None]) -> list[Finding]:
    """Return all that is found, kind by kind as in `KINDS`, the worst first.

    Args:
        dataset: the images.
        known: what networks answer that did not learn from them.
        progress: called as `progress(done, total)`, of images, while near copies are looked for.
    """
    images = {TRAIN: dataset.train_images, TEST: dataset.test_images}
    labels = {TRAIN: dataset.train_labels, TEST: dataset.test_labels}
    answers = {TRAIN: known.train, TEST: known.test}
    unfamiliarity = {TRAIN: known.train_unfamiliarity, TEST: known.test_unfamiliarity}
    levels = {part: _levels(images[part]) for part in images}
    low, high = np.quantile(levels[TRAIN][0], (0.25, 0.75))
    width = max(float(high - low), 1.0)

    # Of each kind: part and index of the image, its score and, of a copy, part and index of the image that it copies.
    found: dict[str, list[tuple[Place, float, Place | None]]] = {kind: [] for kind in KINDS}
    for part in images:
        given = answers[part][np.arange(len(labels[part])), labels[part]]
        means, spreads = levels[part]
        outside = np.maximum(low - means, means - high) / width
        for kind, indices, scores in (
            ("label", doubtful(labels[part], answers[part]), 1 - given),
            ("outlier", np.flatnonzero(unfamiliarity[part] > OUTLIER), unfamiliarity[part]),
            ("blank", np.flatnonzero(spreads < BLANK), 1 - spreads / BLANK),
            ("brightness", np.flatnonzero(outside > FAR_OUT), outside),
        ):
            found[kind] += [((part, index), scores[index], None) for index in indices.tolist()]
    # Test images come first, so that of a picture in both parts the training image is the copy, which may be dropped.
    places = [(part, index) for part in (TEST, TRAIN) for index in range(len(images[part]))]
    everything = np.concatenate([images[TEST], images[TRAIN]])
    first = copies.exact_copies(everything)
    single = np.flatnonzero(first == np.arange(len(first)))
    repeated = np.flatnonzero(first < np.arange(len(first)))
    found["copy"] = [(places[place], 1.0, places[first[place]]) for place in repeated]
    found["near-copy"] = [
        (places[single[later]], alike, places[single[earlier]])
        for later, earlier, alike in copies.near_copies(everything[single], progress)
    ]

    def finding(kind: str, place: Place, score: float, copied: Place | None) -> Finding:
        part, index = place
        names, model = dataset.class_names, int(answers[part][index].argmax())
        return Finding(
            kind=kind,
            part=part,
            index=index,
            score=round(float(score), 4),
            given=names[labels[part][index]],
            model=names[model],
            probability=round(float(answers[part][index][model]), 4),
            copy_of=f"{copied[0]} {copied[1]}" if copied else "",
            copy_given=names[labels[copied[0]][copied[1]]] if copied else "",
            sha256=digest(images[part][index]),
        )

    return [finding(kind, *one) for kind, rows in found.items() for one in sorted(rows, key=lambda row: -row[1])]


def doubtful(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the images whose labels look wrong, the most doubtful first: int64 (found,).

    Source: C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
    70 (2021), as the library cleanlab has it.

    Args:
        labels: integer (N,).
        probabilities: float (N, classes), of networks that did not learn from these images.
    """
    from cleanlab.filter import find_label_issues

    classes = np.unique(labels)
    if len(classes) < 2:
        return np.zeros(0, np.int64)
    shares = probabilities[:, classes].astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    own = np.searchsorted(classes, labels)
    ranked = find_label_issues(own, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(ranked, np.int64)


def _levels(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean level of images, uint8 (N, H, W, C), and the spread of that channel which spreads most: (N,)."""
    means, spreads = [], []
    for start in range(0, len(images), _TOGETHER):
        part = images[start : start + _TOGETHER].astype(np.float32)
        means.append(part.mean(axis=(1, 2, 3)))
        spreads.append(part.std(axis=(1, 2)).max(axis=1))
    return np.concatenate(means), np.concatenate(spreads)
