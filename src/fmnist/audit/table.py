"""Writes and reads `audit.csv`, a row a finding, and fills in its column of decisions."""

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path

from fmnist.audit.findings import KINDS, Finding
from fmnist.data.decisions import RELABEL, TRAIN, to_csv
from fmnist.errors import InputError, did_you_mean
from fmnist.run.directory import write_bytes

Row = dict[str, str]
COLUMNS = (*(each.name for each in fields(Finding)), "decision", "label")


def write(path: Path, findings: list[Finding]) -> None:
    """Write findings, nothing decided."""
    rows = [
        {name: str(value) for name, value in asdict(one).items()} | {"decision": "", "label": ""} for one in findings
    ]
    write_bytes(path, to_csv(COLUMNS, rows))


def decide(path: Path, decision: str, kind: str, count: int | None) -> int:
    """Decide about the training images that stand first among those of a kind, as far as nothing is decided yet.

    Args:
        path: of `audit.csv`, which is written again.
        decision: `drop`, or `relabel`: to what the model thinks.
        kind: of `KINDS`.
        count: of images, the first ones; None takes all.

    Returns:
        The number of images that are decided about now and were not before.

    Raises:
        InputError: there is no such kind, or labels are to be changed for another reason than doubt about them.
        RunError: the file cannot be written.
    """
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"nothing is found of the kind '{kind}'{did_you_mean(kind, list(KINDS))} (kinds: {known})")
    if decision == RELABEL and kind != "label":
        raise InputError(f"relabel takes the kind label, whose images have another class to go to; got '{kind}'")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    decided = {row["index"] for row in rows if row["part"] == TRAIN and row["decision"]}
    meant = [row for row in rows if row["part"] == TRAIN and row["kind"] == kind][:count]
    fresh = [row for row in meant if row["index"] not in decided]
    for row in fresh:
        row["decision"], row["label"] = decision, row["model"] if decision == RELABEL else ""
    write_bytes(path, to_csv(tuple(rows[0]) if rows else COLUMNS, rows))
    return len(fresh)
