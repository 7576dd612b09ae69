"""Writes the report of a run: one HTML file that needs nothing else. Reads the run directory only; draws nothing."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.config import PRESETS, command_flags, leaf_fields, restore
from fmnist.data.place import train_flags
from fmnist.errors import InputError
from fmnist.evaluation.metrics import frequent_confusions, mistake_strengths, uneven
from fmnist.evaluation.slices import sentence
from fmnist.export.formats import outdated
from fmnist.report.plots import PLOTS
from fmnist.report.rendering import page_environment, picture
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json, write_bytes
from fmnist.run.history import HISTORY_COLUMNS, History, best_epoch, read_history
from fmnist.text import duration, percent, plural

_CONFUSIONS = 8
Content = dict[str, Any]  # of a JSON file


def write_report(run: RunDirectory, out: Path | None = None) -> Path:
    """Write `report.html` from the files of a run; where one is missing, the report names the command that makes it.

    Args:
        run: is only read, if there is a folder `out`, which has the plots and gets the report.
        out: a folder other than the run's.

    Returns:
        The path of the report.

    Raises:
        InputError: `config.json` is missing, or a file of the run cannot be read.
        RunError: the report cannot be written.
    """
    config, place = read_json(run.config), RunDirectory(out) if out else run
    environment, status, metrics = results.environment(run), run.read_status(), results.metrics(run)
    history = read_history(run.history) if run.history.is_file() else []
    diagnosis = results.diagnosis(run)
    context = {
        "name": run.name,
        "run": run,
        "preset": config.get("preset", "custom"),
        "status": status,
        "cards": _cards(config, environment, status, metrics, history),
        "history": history,
        "columns": [name for name in HISTORY_COLUMNS if any(name in row for row in history)],
        "diagnosis": diagnosis,
        "best": best_epoch(history),
        "curve_sentence": curve_sentence(history, diagnosis) if history else "",
        "metrics": metrics,
        "robustness": (found := results.robustness(run)),
        "corrupted": _extremes(found) if found else [],
        "failing": [sentence(row, found["slices"]["accuracy"]) for row in found["slices"]["failing"]] if found else [],
        "exported": (exported := results.exported_files(run)),
        "outdated": outdated(exported),
        "confusions": frequent_confusions(metrics, _CONFUSIONS) if metrics else [],
        "matrix": _matrix(metrics) if metrics else {},
        "settings": _settings(config),
        "environment": {key: value for key, value in environment.items() if value not in (None, {}, "")},
        "command": train_command(run, config),
        "plots": PLOTS,
        "picture": lambda name: picture(place.plots / f"{name}.svg"),
        "drawable": lambda plot: plot.drawable(run),
    }
    html = page_environment().get_template("report.html").render(context)
    write_bytes(place.report, html.encode(errors="backslashreplace"))  # a path may be no UTF-8
    return place.report


def _cards(
    config: Content, environment: Content, status: Content, metrics: Content, history: History
) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, note."""
    cards, recipe = [], config.get("training", {})
    if metrics:
        low, high = metrics["accuracy_interval"]
        span = f"95% interval {percent(low, 2)} to {percent(high, 2)}, n = {metrics['num_images']:,}"
        if uneven([row["support"] for row in metrics["per_class"]]):
            span += f"; balanced accuracy {percent(metrics['macro']['recall'], 2)}"
        cards.append(("Test accuracy", percent(metrics["accuracy"], 2), span))
        cards.append(("Test loss", f"{metrics['loss']:.4f}", "mean cross-entropy"))
    elif history and "val_accuracy" in history[-1]:
        cards.append(("Validation accuracy", percent(history[-1]["val_accuracy"], 2), "after the last epoch"))
    if "parameters" in config:
        family = config.get("model", {}).get("family", "")
        cards.append(("Parameters", f"{config['parameters']:,}", f"{family} network"))
    if history:
        planned = status.get("epochs") or recipe.get("epochs", len(history))
        note = f"batches of {recipe.get('batch_size', '?')}, {recipe.get('optimizer', '?')}"
        if status.get("model_epoch", len(history)) != len(history):
            note += f"; the model has the weights of epoch {status['model_epoch']}"
        cards.append(("Epochs", str(len(history)) if len(history) == planned else f"{len(history)} of {planned}", note))
        seconds = status.get("seconds") or sum(row.get("seconds", 0.0) for row in history)
        cores = f" ({environment['cores']} cores)" if environment.get("cores") else ""
        cards.append(("Training time", duration(seconds), f"{environment.get('processor') or ''}{cores}"))
    return cards


def _extremes(robustness: Content) -> list[tuple[str, float]]:
    """Return the corruption that costs the least accuracy and the one that costs the most, each with its mean."""
    means = sorted((float(np.mean(row["accuracy"])), row["name"]) for row in robustness["kinds"])
    return [(name, mean) for mean, name in (means[-1], means[0])]


def _matrix(metrics: Content) -> dict[str, list[tuple[int, float]]]:
    """Return the confusion matrix: of each true class the counts of the predicted ones, and how strong their colour."""
    strengths = mistake_strengths(np.array(metrics["confusion_matrix"])).tolist()
    rows = zip(metrics["class_names"], metrics["confusion_matrix"], strengths, strict=True)
    return {name: list(zip(counts, strong, strict=True)) for name, counts, strong in rows}


def curve_sentence(history: History, diagnosis: Content) -> str:
    """Say what the learning curves show: the diagnosis's verdict; without one, the accuracies after the last epoch."""
    if diagnosis:
        return str(diagnosis["sentences"][0])
    told, last = f"The run has {plural(len(history), 'epoch')}", history[-1]
    columns = {"train_accuracy": "training", "val_accuracy": "validation"}
    scores = [f"{percent(last[column])} of the {name} images" for column, name in columns.items() if column in last]
    if scores:
        told += f"; after the last one the model is correct on {' and '.join(scores)}"
    if not any(name.startswith("val_") for row in history for name in row):
        told += "; no images were kept for validation"
    return told + "."


def _settings(config: Content) -> dict[str, list[Content]]:
    """Return each section's settings: name, value, the preset's value, whether they differ, and the help text."""
    preset = PRESETS.get(config.get("preset", ""), PRESETS["reference"])[1]
    base = json.loads(json.dumps(preset.to_dict()))  # with lists for tuples, as in the run's file
    helps = {name: spec.metadata["help"] for name, (_, spec) in leaf_fields().items()}
    return {
        section: [
            {
                "name": name,
                "value": value,
                "preset": defaults.get(name),
                "changed": value != defaults.get(name, value),
                "help": helps.get(name, ""),
            }
            for name, value in config[section].items()
        ]
        for section, defaults in base.items()
        if isinstance(defaults, dict) and isinstance(config.get(section), dict)
    }


def train_command(run: RunDirectory, config: Content, name: str = "") -> str:
    """Return the command that trains this run again: the preset, and a flag for each setting that differs from it.

    `name` is of the run that it makes, which is the same one if nothing else is said.
    """
    try:
        preset_flag, *flags = command_flags(restore(config))
    except InputError:  # another version's settings: the name of its preset is all that can be told
        preset_flag, flags = ["--preset", str(config.get("preset", "reference"))], []
    lines = [["fmnist", "train", *preset_flag], ["--name", name or run.name], *train_flags(run)]
    return " \\\n    ".join(map(shlex.join, [*lines, *flags]))
