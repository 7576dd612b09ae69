"""Draws a sweep's pictures and writes its HTML page, which needs nothing else, from its result and its histories."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmnist.report.plots import sweep as pictures
from fmnist.report.rendering import page_environment, picture
from fmnist.run.directory import RunDirectory, write_bytes
from fmnist.run.history import read_history
from fmnist.study.tuning import result as results
from fmnist.study.tuning.journal import FINISHED
from fmnist.text import duration, loss, percent, plural


def write_page(result: Mapping[str, Any], folder: Path) -> None:
    """Draw the contents of `sweep.json` and its trials' histories into `plots/` of its folder; write `report.html`."""
    plots = RunDirectory(folder).plots
    draw(result, folder, plots)
    context = {
        "sweep": result,
        "sentence": results.sentence(result),
        "counts": results.counts(result),
        "cards": _cards(result),
        "settings": _settings(result),
        "table": results.table(result),
        "notes": [f"{row['run']}: {row['note']}" for row in result["trials"] if row["note"]],
        "environment": {key: value for key, value in result["environment"].items() if value not in (None, {}, "")},
        "folder": shlex.quote(str(folder)),
        "picture": lambda name: picture(plots / f"{name}.svg"),
    }
    html = page_environment().get_template("sweep.html").render(context)
    write_bytes(RunDirectory(folder).report, html.encode(errors="backslashreplace"))


def draw(result: Mapping[str, Any], folder: Path, plots: Path) -> None:
    """Draw a sweep's pictures into a folder."""
    tried = []
    for row in result["trials"]:
        path = RunDirectory(folder / row["run"]).history
        history = read_history(path) if path.is_file() else []
        if losses := {int(one["epoch"]): one["val_loss"] for one in history}:
            is_best = row["run"] == result["best"]["run"]
            tried.append(pictures.Tried(losses, row["outcome"] == FINISHED, row["values"], is_best))
    title = f"Sweep {result['name']}"
    if result["importance"]:
        pictures.importance(result["importance"], plots / "importance", f"{title}: what decides")
    log = {name: isinstance(one, dict) and one["log"] for name, one in result["space"].items()}
    pictures.slices(tried, log, plots / "slices", f"{title}: validation loss by value")
    pictures.curves(tried, plots / "curves", f"{title}: validation loss of all trials")


def _cards(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, note."""
    best, first = result["best"], result["trials"][0]
    own = f"{loss(first['val_loss'])} with the preset's own values" if first["outcome"] == FINISHED else "the lowest"
    cards = [("Validation loss", loss(best["val_loss"]), own)]
    if best["test"]:
        low, high = (percent(bound, 2) for bound in best["test"]["accuracy_interval"])
        cards.append(("Test accuracy", percent(best["test"]["accuracy"], 2), f"95% interval {low} to {high}"))
    cards.append(("Best trial", best["run"], f"of {plural(result['done'], 'trial')}"))
    cards.append(("Time", duration(result["seconds"]), results.counts(result).partition(": ")[2]))
    return cards


def _settings(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return for each setting that was searched its name, the best value, the preset's, and where it was searched."""
    rows = []
    for name, search in result["space"].items():
        own, best = result["own"][name], result["best"]["values"][name]
        rows.append((name, results.told(best), results.told(own), results.where(search)))
    return rows
