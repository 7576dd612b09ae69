"""Works out the contents of `study.json`, every number of its table, from the runs of a study."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.errors import InputError
from fmnist.evaluation import metrics
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.study.definition import BASELINE, MAX_SEEDS, Study, folder_name
from fmnist.study.runner import is_done
from fmnist.study.statistics import Difference, crossed, paired, summarize

Row = dict[str, Any]  # of one run


@dataclass(frozen=True)
class Metric:
    """A column of the table."""

    name: str  # of the value in `study.json`
    # Takes it from the files of a finished run, or from the row of its last epoch; None where it has none.
    value: Callable[[RunDirectory, Mapping[str, float]], float | None]
    title: str  # for people
    scale: float = 1.0  # the stored value is shown multiplied by it: shares, by 100, as percentages
    digits: int = 0  # shown after the point
    better: int = 0  # 1 if more is better, -1 if less is, 0 where neither is said
    optional: bool = False  # whether a table leaves it out where no run has it
    worth: float = 0.0  # the smallest difference worth having; an interval within it shows that there is none


def _gap(run: RunDirectory, last: Mapping[str, float]) -> float | None:
    return last["train_accuracy"] - last["val_accuracy"] if "val_accuracy" in last else None


def _onset(run: RunDirectory, last: Mapping[str, float]) -> float | None:
    found = results.diagnosis(run)["gap_opens"] if "val_accuracy" in last else None
    return found and found["epoch"]


METRICS = (
    Metric("test_accuracy", lambda run, last: results.metrics(run)["accuracy"], "test accuracy, %", 100, 2, 1,
           worth=0.005),
    Metric("test_loss", lambda run, last: results.metrics(run)["loss"], "test loss", 1, 4, -1),
    Metric("val_accuracy", lambda run, last: last.get("val_accuracy"), "validation accuracy, %", 100, 2),
    Metric("val_loss", lambda run, last: last.get("val_loss"), "validation loss", 1, 4),
    Metric("gap", _gap, "final gap, points", 100, 2, -1, worth=0.01),
    Metric("onset", _onset, "gap opens at epoch", 1, 1),
    Metric("corrupted", lambda run, last: results.robustness(run).get("accuracy"), "corrupted accuracy, %", 100, 2, 1,
           worth=0.01, optional=True),
    Metric("seconds", lambda run, last: run.read_status()["seconds"], "seconds", 1, 1),
    Metric("parameters", lambda run, last: read_json(run.config)["parameters"], "parameters"),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}
HELPS, HURTS, SAME, CANNOT_TELL = "helps", "hurts", "no difference worth having", "cannot tell"


def outcome(difference: Mapping[str, Any], metric: Metric) -> str:
    """Return what a difference shows: `HELPS`, `HURTS`, `SAME` or, with too few seeds or images, `CANNOT_TELL`.

    Args:
        difference: its `mean` and 95% `interval` (None for a single pair).
        metric: of which something is better.
    """
    if difference["interval"] is None:
        return CANNOT_TELL
    low, high = difference["interval"]
    if low <= 0 <= high:
        return SAME if max(-low, high) <= metric.worth else CANNOT_TELL
    return HELPS if metric.better * difference["mean"] > 0 else HURTS


def shown(result: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics that the tables of a study's result have."""
    summaries = [row["summary"] for row in result["variants"]]
    return [metric for metric in METRICS if not metric.optional or any(one.get(metric.name) for one in summaries)]


def collect(study: Study, folder: Path) -> dict[str, Any]:
    """Return a study's result from its finished runs; others that lie in the folder are not looked at."""
    rows = {name: [_run_row(folder, name, seed) for seed in study.seeds] for name in study.names()}
    images = {name: [_image_scores(folder, row) for row in runs] for name, runs in rows.items()}
    first = RunDirectory(folder / rows[BASELINE][0]["run"])
    config = read_json(first.config)
    return {
        "name": study.name,
        "state": "finished",
        "description": study.description,
        "preset": study.preset,
        "settings": _listed(study.settings),
        "seeds": list(study.seeds),
        "epochs": config["training"]["epochs"],
        "time_budget": config["training"]["time_budget"],
        "dataset": {key: value for key, value in config["dataset"].items() if key.startswith("num_")},
        "variants": [
            {"name": name, "settings": _listed(study.variants.get(name, {})), "runs": runs}
            | {"summary": {metric.name: _summary(runs, metric.name) for metric in METRICS}}
            | _comparison(name, rows, images)
            for name, runs in rows.items()
        ],
        "environment": {name: fact for name, fact in read_json(first.environment).items() if name != "started"},
    }


def _listed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON would give them back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _run_row(folder: Path, variant: str, seed: int) -> dict[str, Any]:
    """Return the numbers of one run; a diverged one has its message instead."""
    run = RunDirectory(folder / folder_name(variant, seed))
    if not is_done(run):
        raise InputError(f"{run.path} is not finished; run the study again, it goes on where it stopped")
    row: dict[str, Any] = {"seed": seed, "run": run.name, "state": run.state()}
    if row["state"] == "diverged":
        return row | {"message": run.read_status()["message"]}
    last = results.model_row(run)
    row |= {metric.name: value for metric in METRICS if (value := metric.value(run, last)) is not None}
    if "val_accuracy" in last:
        row["verdict"] = results.diagnosis(run)["verdict"]
    if kinds := results.robustness(run).get("kinds"):
        row["corruptions"] = {kind["name"]: float(np.mean(kind["accuracy"])) for kind in kinds}
    return row


def _image_scores(folder: Path, row: Row) -> dict[str, np.ndarray] | None:
    """Return whether each test image was right, and its loss: float (images,) by name; None for a diverged run."""
    if row["state"] != "finished":
        return None
    probabilities, labels = results.predictions(RunDirectory(folder / row["run"]))
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return {"test_accuracy": right, "test_loss": metrics.losses(probabilities, labels)}


def _summary(runs: list[Row], name: str) -> dict[str, Any] | None:
    found = summarize([run[name] for run in runs if name in run])
    return asdict(found) if found else None


def _comparison(name: str, rows: Mapping[str, list[Row]], images: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Compare a variant with the baseline, seed by seed; None in place of each result for the baseline itself."""
    if name == BASELINE:
        return dict.fromkeys(("difference", "test_difference", "gap_closed", "corruptions"))
    pairs = {metric.name: _pairs(rows[name], rows[BASELINE], metric.name) for metric in METRICS}
    return {
        "difference": {metric: _plain(paired(*values), metric) for metric, values in pairs.items()},
        "test_difference": {
            metric: _test_difference(images[name], images[BASELINE], metric)
            for metric in ("test_accuracy", "test_loss")
        },
        "gap_closed": _gap_closed(*pairs["gap"]),
        "corruptions": _corruptions(rows[name], rows[BASELINE]),
    }


def _corruptions(runs: list[Row], baseline: list[Row]) -> dict[str, Any]:
    """Return for each corruption the difference in accuracy to the baseline, seed by seed."""
    mine, base = ([run.get("corruptions", {}) for run in part] for part in (runs, baseline))
    kinds = dict.fromkeys(kind for run in base for kind in run)
    return {kind: _plain(paired(*_pairs(mine, base, kind)), "corrupted") for kind in kinds}


def _test_difference(scores: list[Any], baseline: list[Any], name: str) -> dict[str, Any] | None:
    """Return the difference on the test set, with an interval over images and seeds together."""
    differences = [mine[name] - base[name] for mine, base in zip(scores, baseline, strict=True) if mine and base]
    return _plain(crossed(np.stack(differences)) if differences else None, name)


def _pairs(runs: list[Row], baseline: list[Row], name: str) -> tuple[list[float], list[float]]:
    """Return the values of both in the seeds in which both have one."""
    both = [(run, base) for run, base in zip(runs, baseline, strict=True) if name in run and name in base]
    return [run[name] for run, _ in both], [base[name] for _, base in both]


def _gap_closed(gaps: list[float], baseline: list[float]) -> float | None:
    """Return the share of the baseline's mean gap that is gone; None where that gap is not measurably above zero."""
    gap = paired(baseline, [0.0] * len(baseline))
    if gap is None or gap.mean <= 0 or (gap.margin is not None and not gap.measurable()):
        return None
    return 1 - float(np.mean(gaps)) / gap.mean


def _plain(difference: Difference | None, name: str) -> dict[str, Any] | None:
    """Return mean, 95% interval and number of seeds, ready for JSON; of what can be better or worse also the outcome.

    Where that cannot be told, `seeds_to_tell` is the number of seeds that would; None if 100 would not.
    """
    if difference is None:
        return None
    mean, margin = difference.mean, difference.margin
    interval = None if margin is None else [mean - margin, mean + margin]
    plain: dict[str, Any] = {"mean": mean, "interval": interval, "n": difference.n}
    if (metric := BY_NAME[name]).better:
        plain["outcome"] = outcome(plain, metric)
        if plain["outcome"] == CANNOT_TELL and difference.seed_variance is not None:
            plain["seeds_to_tell"] = difference.seeds_to_tell(metric.worth, MAX_SEEDS)
    return plain
