"""Draws a study's pictures and writes its HTML page, which needs nothing else, from its result and its histories."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmnist.report.plots import study as pictures
from fmnist.report.rendering import page_environment, picture
from fmnist.run.directory import RunDirectory, write_bytes
from fmnist.run.history import read_history
from fmnist.study import tables, words
from fmnist.study.result import BY_NAME, HELPS, outcome, shown
from fmnist.text import duration, plural


def write_page(result: Mapping[str, Any], folder: Path) -> None:
    """Draw the contents of `study.json` and its runs' histories into `plots/` of its folder; write `report.html`."""
    plots = RunDirectory(folder).plots
    draw(result, averages(result, folder), plots)
    context = {
        "study": result,
        "setup": words.setup(result),
        "cards": _cards(result),
        "baseline": result["variants"][0],
        "variants": _ranked(result),
        "tables": tables.titled(result),
        "metrics": shown(result),
        "environment": {key: value for key, value in result["environment"].items() if value not in (None, {}, "")},
        "folder": shlex.quote(str(folder)),
        "picture": lambda name: picture(plots / f"{name}.svg"),
    }
    html = page_environment().get_template("study.html").render(context)
    write_bytes(RunDirectory(folder).report, html.encode(errors="backslashreplace"))


def averages(result: Mapping[str, Any], folder: Path) -> pictures.Averages:
    """Return the mean curves of each variant, from the histories of its finished runs."""
    return {
        row["name"]: pictures.average(
            [
                read_history(RunDirectory(folder / run["run"]).history)
                for run in row["runs"]
                if run["state"] == "finished"
            ]
        )
        for row in result["variants"]
    }


def draw(result: Mapping[str, Any], curves: pictures.Averages, plots: Path) -> None:
    """Draw a study's pictures into a folder."""
    title, seeds = f"Study {result['name']}", len(result["seeds"])
    effects = {
        "Test accuracy, points: more is better": _effects(result, "test_difference", "test_accuracy"),
        "Accuracy on corrupted images, points": _effects(result, "difference", "corrupted"),
        "Final gap, points: less is better": _effects(result, "difference", "gap"),
    }
    if shown := {panel: found for panel, found in effects.items() if found}:
        pictures.effects(shown, plots / "effects", f"{title}: difference to the baseline")
    over = f"mean and standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    pictures.overlay(curves, plots / "curves", f"{title}: validation, {over}")
    pictures.panels(curves, plots / "panels", f"{title}: training and validation loss")


def _effects(result: Mapping[str, Any], part: str, metric: str) -> list[pictures.Effect]:
    return [
        pictures.Effect(
            row["name"], 100 * found["mean"], None if (half := tables.margin(found)) is None else 100 * half
        )
        for row in _ranked(result)
        if (found := row[part].get(metric))
    ]


def _ranked(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the variants, the largest gain in test accuracy first."""
    return sorted(result["variants"][1:], key=lambda row: -_gain(row))


def _gain(row: Mapping[str, Any]) -> float:
    """Return the difference in test accuracy; a variant without any comes last."""
    found = row["test_difference"]["test_accuracy"]
    return float(found["mean"]) if found else -math.inf


def _cards(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, note."""
    base = result["variants"][0]
    accuracy, gap = BY_NAME["test_accuracy"], BY_NAME["gap"]
    cards = []
    found = [(row["name"], gain) for row in _ranked(result) if (gain := row["test_difference"]["test_accuracy"])]
    if gains := [pair for pair in found if outcome(pair[1], accuracy) == HELPS]:
        name, gain = gains[0]
        cards.append(("Largest gain", tables.with_margin(gain, accuracy, 1), f"points of test accuracy: {name}"))
    elif found:
        seeds = plural(len(result["seeds"]), "seed")
        cards.append(("Largest gain", "none", f"that could be told from chance with {seeds}"))
    if summary := base["summary"]["test_accuracy"]:
        cards.append(("Baseline", tables.mean_cell(summary, accuracy) + "%", "on the test set"))
    if with_gap := [row for row in result["variants"] if row["summary"]["gap"]]:
        least = min(with_gap, key=lambda row: row["summary"]["gap"]["mean"])
        note = f"points: {least['name']}"
        if base["summary"]["gap"]:
            note += f"; the baseline has {tables.mean_cell(base['summary']['gap'], gap)}"
        cards.append(("Smallest gap", tables.mean_cell(least["summary"]["gap"], gap), note))
    runs = [run for row in result["variants"] for run in row["runs"]]
    spent = sum(run.get("seconds", 0.0) for run in runs)
    cards.append(("Runs", str(len(runs)), f"{duration(spent)} of training in all"))
    return cards
