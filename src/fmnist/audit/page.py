"""Writes an audit as one HTML page that needs nothing else: the images that were found, the worst first."""

import base64
import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fmnist.audit.findings import KINDS, Finding
from fmnist.data import shape
from fmnist.data.dataset import Dataset
from fmnist.data.decisions import TEST, TRAIN
from fmnist.report.rendering import page_environment
from fmnist.run.directory import write_bytes
from fmnist.text import duration, percent

MOST = 60  # images of a kind and part that are shown; the table has all
TITLES = {TRAIN: "training", TEST: "test"}


def write(path: Path, result: Mapping[str, Any], findings: Sequence[Finding], dataset: Dataset) -> None:
    """Write the page.

    Args:
        path: of the file.
        result: the contents of `audit.json`.
        findings: all of them, in the order of the table.
        dataset: whose images are shown.
    """
    images = {TRAIN: dataset.train_images, TEST: dataset.test_images}

    def shown(kind: str, part: str) -> list[tuple[Finding, list[str]]]:
        """Return the first findings of a kind in a part, each with the images to show: its own, and what it copies."""
        chosen = [one for one in findings if (one.kind, one.part) == (kind, part)][:MOST]
        return [(one, [embedded(images[place][index]) for place, index in _places(one)]) for one in chosen]

    context = {
        "result": result,
        "cards": _cards(result),
        "kinds": KINDS,
        "titles": TITLES,
        "shown": shown,
        "most": MOST,
        "decide": shlex.join(["fmnist", "audit", "--out", str(path.parent)]),
        "train": train_command(result, path.with_suffix(".csv")),
    }
    html = page_environment().get_template("audit.html").render(context)
    write_bytes(path, html.encode(errors="backslashreplace"))  # a path may be no UTF-8


def train_command(result: Mapping[str, Any], table: Path) -> str:
    """Return the command line that trains on the audited data and obeys what is decided in a table."""
    data = ["--data-dir", result["data_dir"]] if result["data_dir"] else []
    return shlex.join(["fmnist", "train", *data, "--decisions", str(table)])


def embedded(image: np.ndarray) -> str:
    """Return an image, uint8 (H, W, C), as the address of a PNG file that is part of the page."""
    file = io.BytesIO()
    Image.fromarray(shape.without_channel(image)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _places(finding: Finding) -> list[tuple[str, int]]:
    places = [(finding.part, finding.index)]
    if finding.copy_of:
        part, index = finding.copy_of.split()
        places.append((part, int(index)))
    return places


def _cards(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, note."""
    found, images = result["found"], result["images"]
    labels, copies, near = found["label"], found["copy"], found["near-copy"]
    others = [found[kind] for kind in ("outlier", "blank", "brightness")]
    share = percent(labels[TRAIN] / images[TRAIN])
    both = sum(copies.values()) + sum(near.values())
    return [
        (
            "Labels that look wrong",
            f"{labels[TRAIN]:,}",
            f"{share} of the training images; {labels[TEST]:,} in the test",
        ),
        ("Copies", f"{both:,}", f"{sum(copies.values()):,} exact, {sum(near.values()):,} near"),
        ("Outliers, blank, dark, bright", f"{sum(sum(each.values()) for each in others):,}", "perhaps rare, not wrong"),
        ("Labels confirmed", percent(result["agreement"]), "by networks that did not learn from the image"),
        ("Time", duration(result["seconds"]), f"{result['folds']} networks of the preset {result['preset']}"),
    ]
