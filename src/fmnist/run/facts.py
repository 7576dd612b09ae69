"""Tells a run in flat names and values: its settings, epochs and scores, for tables and for tracking systems."""

import itertools
from typing import Any

from fmnist.config import SECTIONS
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


def settings(run: RunDirectory) -> dict[str, Any]:
    """Return the preset, each setting by its name, and the numbers of parameters and images, as `config.json` has them.

    Empty where there are no settings: the folder of a study is no run.

    Raises:
        InputError: the file is damaged.
    """
    if not run.exists():
        return {}
    config = read_json(run.config)
    found = {name: value for section in SECTIONS for name, value in config.get(section, {}).items()}
    sizes = {name: value for name, value in config["dataset"].items() if name.startswith("num_")}
    return {"preset": config["preset"], **found, "parameters": config["parameters"], **sizes}


def epochs(run: RunDirectory) -> list[tuple[dict[str, float], float]]:
    """Return the rows of `history.csv`, each with the time at its end, in seconds since 1970; pauses are left out.

    Raises:
        InputError: the file is damaged.
    """
    rows = read_history(run.history) if run.history.is_file() else []
    spent = itertools.accumulate(row.get("seconds", 0.0) for row in rows)
    return [(row, run.started() + seconds) for row, seconds in zip(rows, spent, strict=True)]


def scores(run: RunDirectory) -> dict[str, float]:
    """Return the scores on the test set, names with `test_` before them; empty where a run is not evaluated.

    Accuracies and the calibration errors `ece` are from 0 to 1, losses in nats; `calibrated` ones are those at the
    run's temperature.

    Raises:
        InputError: `metrics.json` is damaged.
    """
    found = results.metrics(run)
    if not found:
        return {}
    names = ("accuracy", "balanced_accuracy", "loss", "ece")
    told = {f"test_{name}": found[name] for name in names if name in found}
    told["test_accuracy_low"], told["test_accuracy_high"] = found["accuracy_interval"]
    calibrated = found.get("calibrated") or {}
    return told | {f"test_{name}_calibrated": calibrated[name] for name in ("loss", "ece") if name in calibrated}
