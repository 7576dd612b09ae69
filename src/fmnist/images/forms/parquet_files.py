"""Reads Parquet files with a column of pictures, as Hugging Face keeps data sets. Needs pyarrow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.data.idx import unpacks_too_far
from fmnist.errors import InputError, RunError, first_line
from fmnist.images.forms import tables
from fmnist.images.forms.arrays import as_labels
from fmnist.images.forms.found import Content, Found, Reading
from fmnist.text import plain, some

_BATCH = 256  # rows that are in memory at a time


def find(place: Path, reading: Reading) -> Found | None:
    """Return the pictures of a Parquet file, or of those of a folder, in several shards and parts."""
    return tables.find(place, (".parquet", ".pq"), lambda path, part: _read(path, part, reading))


def _read(path: Path, part: str, reading: Reading) -> Found:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        mend = "install it with: pip install 'fmnist[parquet]'"
        raise RunError(f"{path}: reading Parquet needs '{error.name}', which is not installed; {mend}") from error
    try:
        file = reading.cleanup.enter_context(ParquetFile(path))
        groups = [file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups)]
        if unpacks_too_far(sum(groups), path.stat().st_size):
            raise InputError(f"{path}: unpacks to over 100 times its size; expected pictures")
        schema = file.schema_arrow
        features = _features(schema.metadata or {})
        images, classes = (_of_type(features, name) & {*schema.names} for name in ("Image", "ClassLabel"))
        image = _column(schema.names, reading.image_column, images or tables.IMAGE_COLUMNS, "image_column", path)
        label = _column(schema.names, reading.label_column, classes or tables.LABEL_COLUMNS, "label_column", path)
        kind = schema.field(image).type
        if str(kind) not in ("binary", "large_binary") and not str(kind).startswith("struct<bytes: "):
            told = f"the column {plain(image)} holds {str(kind)[:60]}"
            raise InputError(f"{path}: {told}; expected the bytes of picture files (`image_column`)")
        names = features.get(label, {}).get("names")
        values = file.read([label]).column(0)
        if values.null_count:
            raise InputError(f"{path}: {values.null_count:,} rows have no label; leave them out")
        labels = as_labels(np.asarray(values.to_pylist()), f"{path}, {plain(label)}", names)
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: is no readable Parquet file: {first_line(error)}") from error
    return Found(
        labels=labels,
        pictures=_pictures(file, image, path),
        parts=[part] * len(labels),
        order=names or (),
        notes=[f"took the columns {plain(image)}, {plain(label)} (`image_column`, `label_column`)"],
    )


def _features(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """Return what Hugging Face's `datasets` wrote about each column; empty where it did not."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: about for name, about in features.items() if isinstance(about, dict)}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _of_type(features: dict[str, dict[str, Any]], kind: str) -> set[str]:
    return {name for name, about in features.items() if about.get("_type") == kind}


def _column(header: list[str], given: str | None, known: set[str], setting: str, path: Path) -> str:
    """Return the name of the column that was named, or else of the only one that is known."""
    at = tables.column(header, given, known, setting)
    if at is None:
        names = plain(some(header, 8))
        raise tables.NoLabels(f"{path}: has the columns {names}; choose one with `{setting}={header[-1]!r}`")
    return header[at]


def _pictures(file: Any, column: str, path: Path) -> Iterator[tuple[str, Content]]:
    from pyarrow import ArrowException

    number = 0
    try:
        for batch in file.iter_batches(_BATCH, columns=[column]):
            for value in batch.column(0).to_pylist():
                number += 1
                content = value.get("bytes") if isinstance(value, dict) else value
                yield f"{path}, row {number:,}", content or b""
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: is damaged after row {number:,}: {first_line(error)}") from error
