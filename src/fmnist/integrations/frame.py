"""`frame`: the results of a run, a study or an audit as pandas tables. Each table is a row of `TABLES`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmnist import audit
from fmnist.errors import InputError, RunError, did_you_mean
from fmnist.run import results
from fmnist.run.directory import STUDY_FILE, RunDirectory, find_run, read_json
from fmnist.run.history import HISTORY_COLUMNS, read_history

try:
    import pandas
except ModuleNotFoundError as error:
    raise RunError("fmnist.frame needs pandas, which is not installed; install it with: pip install pandas") from error


def frame(source: RunDirectory | str | Path, table: str = "", runs_dir: Path = Path("runs")) -> pandas.DataFrame:
    """Return a table of a run, a study, a cross-validation or an audit as a pandas DataFrame.

    Of a run:

    - `history` (the usual one): a row an epoch, whose number is the index; NaN where nothing was measured.
    - `metrics`: one row, whose index is the run's name, so that `pandas.concat` puts those of several runs together;
      shares are 0 to 1, losses in nats.
    - `classes`: a row a class, with `precision`, `recall`, `f1` (0 to 1) and `support`, its number of test images.
    - `confusion`: numbers of test images, rows true classes, columns predicted ones.
    - `predictions`: a row a test image, with its `label`, what is `predicted`, whether that is `correct`, and the
      probability of each class, float32, before calibration.

    Of a study, or of a cross-validation:

    - `runs` (the usual one): a row a run, with its numbers as `study.json` has them.
    - `variants`, of a study alone: a row a variant and metric, with `mean` and `sd` over the seeds, the `difference` to
      the baseline, the bounds `low` and `high` of its 95% interval, and the `outcome`.

    Of an audit, `findings`: `audit.csv`, a row a finding.

    Args:
        source: a run; or the folder of a run, study or audit, its name in `runs_dir`, or `latest`, the newest run.
        table: its name; empty for the usual one.
        runs_dir: where runs and studies are looked for by name.

    Raises:
        InputError: there is no such run, folder or table, or it is not finished, or a file cannot be read.
    """
    kind, place = _find(source, runs_dir)
    tables = TABLES[kind]
    if table and table not in tables:
        hint = did_you_mean(table, list(tables))
        raise InputError(f"table: got '{table}', expected one of a {kind}'s: {', '.join(tables)}{hint}")
    return tables[table or next(iter(tables))](place)


def _find(source: RunDirectory | str | Path, runs_dir: Path) -> tuple[str, RunDirectory]:
    """Return what lies in the place that is meant, a key of `TABLES`, and the place."""
    if isinstance(source, RunDirectory):
        return "run", source
    for folder in (Path(source), runs_dir / source):
        for kind, name in (("study", STUDY_FILE), ("audit", audit.AUDIT)):
            if (folder / name).is_file():
                return kind, RunDirectory(folder)
    return "run", find_run(str(source), runs_dir)


def _history(run: RunDirectory) -> pandas.DataFrame:
    rows = read_history(run.need(run.history, "train"))
    return pandas.DataFrame(rows, columns=HISTORY_COLUMNS).set_index("epoch")


def _scores(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of a run's `metrics.json`, which must be there."""
    run.need(run.metrics, "evaluate")
    return results.metrics(run)


def _metrics(run: RunDirectory) -> pandas.DataFrame:
    scores = _scores(run)
    scores["accuracy_low"], scores["accuracy_high"] = scores["accuracy_interval"]
    single = {name: value for name, value in scores.items() if not isinstance(value, list)}
    return pandas.json_normalize(single, sep="_").set_index(pandas.Index([run.name], name="run"))


def _classes(run: RunDirectory) -> pandas.DataFrame:
    return pandas.DataFrame(_scores(run)["per_class"]).rename(columns={"name": "class"}).set_index("class")


def _confusion(run: RunDirectory) -> pandas.DataFrame:
    scores = _scores(run)
    true, predicted = (pandas.Index(scores["class_names"], name=name) for name in ("label", "predicted"))
    return pandas.DataFrame(scores["confusion_matrix"], true, predicted)


def _predictions(run: RunDirectory) -> pandas.DataFrame:
    probabilities, labels = results.predictions(run)
    names = read_json(run.config)["dataset"]["class_names"]
    table = pandas.DataFrame(probabilities, columns=[f"probability_{name}" for name in names]).rename_axis("image")
    predicted = probabilities.argmax(axis=1)
    table.insert(0, "label", pandas.Categorical.from_codes(labels, names))
    table.insert(1, "predicted", pandas.Categorical.from_codes(predicted, names))
    table.insert(2, "correct", predicted == labels)
    return table


def _study(folder: RunDirectory) -> dict[str, Any]:
    """Return the contents of the `study.json` of a finished study."""
    result = read_json(folder.path / STUDY_FILE)
    if result.get("state") != "finished":
        raise InputError(f"the study in {folder.path} is not finished; run it again, it goes on where it stopped")
    return result


def _runs(folder: RunDirectory) -> pandas.DataFrame:
    result = _study(folder)
    # Folds are all of one variant.
    variants = result.get("variants") or [{"name": result["name"], "runs": result["rows"]}]
    rows = [{"variant": variant["name"], **run} for variant in variants for run in variant["runs"]]
    return pandas.json_normalize(rows, sep="_").set_index("run")


def _variants(folder: RunDirectory) -> pandas.DataFrame:
    result = _study(folder)
    if "variants" not in result:
        raise InputError(f"{folder.path} holds a cross-validation, which has no variants; take the table 'runs'")
    rows = []
    for variant in result["variants"]:
        # Those on the test set hold for other images, too.
        differences = (variant["difference"] or {}) | (variant["test_difference"] or {})
        for metric, summary in variant["summary"].items():
            difference = differences.get(metric) or {}
            low, high = difference.get("interval") or (None, None)
            told = {
                "difference": difference.get("mean"),
                "low": low,
                "high": high,
                "outcome": difference.get("outcome"),
            }
            rows.append({"variant": variant["name"], "metric": metric} | (summary or {}) | told)
    return pandas.DataFrame(rows).set_index(["variant", "metric"])


def _findings(folder: RunDirectory) -> pandas.DataFrame:
    if not audit.finished(folder.path):
        raise InputError(f"the audit in {folder.path} is not finished; run it again, it goes on where it stopped")
    # A class may be called "None", or "1".
    table = pandas.read_csv(folder.path / audit.TABLE, dtype=str, keep_default_na=False)
    return table.astype({"index": int, "score": float, "probability": float})


# What there is of each kind of folder; the first table is the usual one.
TABLES: dict[str, dict[str, Callable[[RunDirectory], pandas.DataFrame]]] = {
    "run": {
        "history": _history,
        "metrics": _metrics,
        "classes": _classes,
        "confusion": _confusion,
        "predictions": _predictions,
    },
    "study": {"runs": _runs, "variants": _variants},
    "audit": {"findings": _findings},
}
