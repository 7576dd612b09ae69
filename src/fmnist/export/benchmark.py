"""Measures how fast a run's exported files answer, beside Keras, each in a process of its own."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fmnist.data.dataset import Dataset
from fmnist.errors import InputError
from fmnist.evaluation.evaluate import check_dataset
from fmnist.export.exporter import size
from fmnist.export.formats import FORMATS
from fmnist.export.gate import compare
from fmnist.export.jobs import open_file
from fmnist.predictor.process import Answer, call
from fmnist.run import environment, results
from fmnist.run.directory import RunDirectory, read_json, sha256, write_json
from fmnist.system import peak_memory

BATCH_SIZE = 256


def benchmark_run(
    run: RunDirectory, dataset: Dataset, *, seconds: float = 3.0, note: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Measure a run's exported files and its own model; write `benchmark.json`.

    Args:
        run: has exported files. The caller holds its lock.
        dataset: the data set it was trained on; the test images are what is asked.
        seconds: how long each of the two speeds of each file is measured.
        note: is told what is being measured.

    Returns:
        What `benchmark.json` holds: `environment`, `run_id`, `num_images` of the test set, and `rows`, Keras first,
        with `format`, `sha256`, `bytes`, `accuracy` and `agreement` (shares of the test images; the latter with Keras),
        `latency_median_ms` and `latency_p99_ms` (one image), `images_per_second` (256 at a time), `start_seconds`
        (from the start of a new Python to its first answer), and `peak_bytes` (of that process's memory; None where
        the system does not tell).

    Raises:
        InputError: nothing was exported yet, or was changed since, the model is gone, or the data set does not fit.
        RunError: a file cannot be measured, or the result cannot be written.
    """
    measured = [name for name, form in FORMATS.items() if form.measured]
    exported = [row for row in results.exports(run).get("files", []) if row["format"] in measured]
    if not exported:
        raise InputError(f"{run.path} has no exported files; `{run.command('export')}` makes them")
    check_dataset(read_json(run.config), dataset)
    files = [
        ("model.keras", "Keras (the run's model)", "keras", run.need(run.model, "train --resume"), sha256(run.model))
    ]
    files += [(row["format"], *2 * (row["format"],), run.exports / row["file"], row["sha256"]) for row in exported]
    changed = [row["file"] for row in exported if not results.exported_path(run, row)]
    if changed:
        raise InputError(f"changed since the export: {', '.join(changed)}; `{run.command('export')}` makes them again")
    rows: list[dict[str, Any]] = []
    keras: np.ndarray | None = None
    for name, label, format, path, digest in files:
        note(label)
        job: dict[str, Any] = {"path": str(path), "format": format, "seconds": seconds, "started": time.time()}
        what, arrays = f"{label} cannot be measured", {"images": dataset.test_images}
        values, answers = call("fmnist.export.benchmark:measure", what, arrays, **job)
        keras = answers["probabilities"] if keras is None else keras
        parity = compare(answers["probabilities"], keras, dataset.test_labels)
        scores = {"accuracy": parity.accuracy, "agreement": parity.agreement}
        rows.append({"format": name, "sha256": digest, "bytes": size(path), **scores, **values})
    result: dict[str, Any] = {"environment": environment.machine(), "run_id": sha256(run.model)[:16]}
    result |= {"num_images": len(dataset.test_labels), "rows": rows}
    write_json(run.benchmark, result)
    return result


def measure(*, path: str, format: str, images: np.ndarray, seconds: float, started: float) -> Answer:
    """Measure one file in this process; `started` is when the parent asked for the process, Unix time in seconds."""
    answer = open_file(path, format)
    answer(images[:1])
    values: dict[str, Any] = {"start_seconds": time.time() - started}
    # A hundred at least, so that one in a hundred means something.
    single = _times(lambda number: answer(images[number : number + 1]), len(images), seconds, at_least=100)
    values["latency_median_ms"] = float(1000 * np.median(single))
    values["latency_p99_ms"] = float(1000 * np.quantile(single, 0.99))
    batch = np.resize(images, (BATCH_SIZE, *images.shape[1:]))
    values["images_per_second"] = BATCH_SIZE / float(np.median(_times(lambda number: answer(batch), 1, seconds)))
    probabilities = answer(images)
    values["peak_bytes"] = peak_memory()
    return values, {"probabilities": probabilities}


def _times(work: Callable[[int], object], count: int, seconds: float, at_least: int = 5) -> list[float]:
    """Call with 0 to `count` - 1, over and over, for a time; return the seconds of each call after some to warm up."""
    for number in range(at_least):
        work(number % count)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < until:
        before = time.perf_counter()
        work(len(times) % count)
        times.append(time.perf_counter() - before)
    return times
