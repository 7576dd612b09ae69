"""Reads what a person decided about single training images, keep, relabel or drop, and obeys it.

Only the images that a network learns from change. Validation and test keep every image and label as the data has them,
so that scores with and without decisions are of the same images.
"""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.data.dataset import Dataset
from fmnist.errors import InputError, did_you_mean, listed
from fmnist.run.directory import RunDirectory, read_bounded, read_json, sha256

KEEP, RELABEL, DROP = CHOICES = ("keep", "relabel", "drop")
COLUMNS = ("part", "index", "given", "sha256", "decision", "label")
TRAIN, TEST = "train", "test"
_MAX_BYTES = 2**26
_MOST = 5  # problems that are told


@dataclass(frozen=True, eq=False)
class Decisions:
    """What was decided about the training images of a data set.

    Attributes:
        labels: by index of an image its new label; None drops it. Images that stay as they are have no entry.
        content: the rows that decide something, as a file that `read_decisions` reads.
    """

    labels: dict[int, int | None] = field(default_factory=dict)
    content: bytes = b""

    @property
    def facts(self) -> dict[str, int | str]:
        """What `config.json` tells of them: how many images are dropped and relabelled, and the content's SHA-256."""
        dropped = sum(label is None for label in self.labels.values())
        digest = hashlib.sha256(self.content).hexdigest()
        return {"dropped": dropped, "relabelled": len(self.labels) - dropped, "sha256": digest}

    def obey(
        self, indices: NDArray[np.int64], labels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the images that are left of some training images, int64 (N,), and their labels, uint8 (left,).

        `labels` are those of all training images as the data has them.
        """
        dropped = [index for index, label in self.labels.items() if label is None]
        left = indices[~np.isin(indices, dropped)]
        changed = labels.copy()
        for index, label in self.labels.items():
            if label is not None:
                changed[index] = label
        return left, changed[left]


def digest(image: NDArray[np.uint8]) -> str:
    """Return by what a file of decisions knows an image: the first 16 hexadecimal digits of its bytes' SHA-256."""
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


def of_run(run: RunDirectory, dataset: Dataset) -> Decisions:
    """Return the decisions that a run was started with.

    Raises:
        InputError: the run's copy of them has gone or was changed since.
    """
    known = read_json(run.config) if run.config.is_file() else {}
    was = known.get("decisions", {}).get("sha256")
    if was != (sha256(run.decisions) if run.decisions.is_file() else None):
        raise InputError(
            f"{run.decisions} has gone or was changed since the run was started; start again with `overwrite=True`"
        )
    return read_decisions(run.decisions, dataset) if was else Decisions()


def read_decisions(path: str | Path | None, dataset: Dataset) -> Decisions:
    """Read decisions about training images from a CSV file, such as the `audit.csv` that `fmnist audit` writes.

    Its columns, in any order, are `index`, of the image in the training part, from 0; `decision`, which is `keep`,
    `relabel`, `drop` or empty (keep); and for `relabel` the name of the new class in `label`. If they are there, `part`
    has to be `train` in rows that decide, and `given` (the class) and `sha256` (as `digest` has it) have to be those of
    the image: else the file is about other data. Other columns are not looked at.

    Args:
        path: of the file; None stands for no decisions.
        dataset: whose images are meant.

    Raises:
        InputError: the file cannot be read, or is about other images; tells the first five problems.
    """
    if path is None:
        return Decisions()
    try:
        text = read_bounded(Path(path), _MAX_BYTES).decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [(table.line_num, row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the decisions in {path} as CSV: {error}") from error
    columns = table.fieldnames or []
    if missing := [name for name in ("index", "decision") if name not in columns]:
        told = ", ".join(columns)[:80] or "nothing"
        raise InputError(f"{path} has no column {' and no column '.join(missing)}; its first line has {told}")
    labels: dict[int, int | None] = {}
    chosen: dict[int, tuple[str, dict[str, str]]] = {}
    problems = []
    for line, row in rows:
        decision = (row["decision"] or "").strip().lower()
        if not decision:
            continue
        if text := next(_problems(row, decision, dataset), ""):
            problems.append(f"line {line}: {text}")
            continue
        index = int(row["index"])
        label = dataset.class_names.index(row["label"]) if decision == RELABEL else None
        known = row.get("part", TRAIN), row["index"], row.get("given", ""), row.get("sha256", "")
        one = dict(zip(COLUMNS, (*known, decision, row["label"] if decision == RELABEL else ""), strict=True))
        if index in chosen and chosen[index][1] != one:
            problems.append(f"line {line}: decides otherwise about image {index} than {chosen[index][0]}")
        chosen[index] = (f"line {line}", one)
        if decision != KEEP:
            labels[index] = label
    if problems:
        more = [f"and {len(problems) - _MOST:,} more"] if len(problems) > _MOST else []
        raise InputError(listed(f"the decisions in {path} cannot be obeyed", problems[:_MOST] + more))
    return Decisions(labels, to_csv(COLUMNS, [one for _, one in chosen.values() if one["decision"] != KEEP]))


def _problems(row: dict[str, str], decision: str, dataset: Dataset) -> Iterator[str]:
    """Yield what is wrong with a row that decides something."""
    images, names = dataset.train_images, dataset.class_names
    if decision not in CHOICES:
        yield f"decision is '{decision[:40]}', expected one of {', '.join(CHOICES)}, or nothing"
    if row.get("part", TRAIN) != TRAIN:
        yield f"part is '{str(row['part'])[:40]}'; only training images ({TRAIN}) can be decided about"
    index = row["index"] or ""
    if not (index.isdecimal() and int(index) < len(images)):
        yield f"index is '{index[:40]}', expected 0 to {len(images) - 1:,}"
    own = names[dataset.train_labels[int(index)]]
    if (row.get("sha256") or digest(images[int(index)])) != digest(images[int(index)]):
        yield f"training image {index} is another picture now; decisions belong to the data that was audited"
    if (row.get("given") or own) != own:
        yield f"training image {index} is given as {own}, not as {row['given'][:40]}; its label was changed since"
    if decision == RELABEL and row.get("label") not in names:
        label = row.get("label") or ""
        yield f"label is '{label[:40]}', expected the name of a class{did_you_mean(label, list(names))}"


def to_csv(columns: tuple[str, ...], rows: list[dict[str, str]]) -> bytes:
    """Return rows as a CSV file in UTF-8, the columns' names in its first line."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()
