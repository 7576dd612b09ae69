"""Builds the tab that shows how a run was trained and how good it is, alone or beside another."""

import math
from typing import Any

import gradio
import numpy as np
from markupsafe import Markup

from fmnist.errors import FmnistError
from fmnist.evaluation.metrics import mistake_strengths
from fmnist.text import number, percent
from fmnist.web.page.chart import Line, chart
from fmnist.web.page.rendering import QUIET, asset, panel, render
from fmnist.web.page.runs import Facts, Runs

_NONE = "nothing"
_SECTIONS = ("data", "model", "training", "augmentation", "distillation")
# 95% of a normal distribution lie within so many standard deviations.
_95 = 1.96


def build(blocks: gradio.Blocks, runs: Runs, served: str) -> None:
    """Put the tab's parts onto the page; whenever that is opened, the runs are looked up, `served` first."""
    with gradio.Row(elem_classes="choices"):
        run = gradio.Dropdown([], label="Run", min_width=240)
        other = gradio.Dropdown([_NONE], value=_NONE, label="Compared with", min_width=240)
    overview = panel("training")
    matrix = panel("matrix", js_on_load=asset("matrix.js"))
    pictures = panel("pictures")

    def fill() -> list[Any]:
        names, first = runs.choices(served)
        beside = gradio.Dropdown([_NONE, *names], value=_NONE, filterable=len(names) > 8)
        all_runs = gradio.Dropdown(names, value=first, filterable=len(names) > 8, info=runs.left_out() or None)
        return [all_runs, beside, *choose(first, None)]

    def choose(name: str | None, beside: str | None) -> tuple[str, str, str]:
        return _overview(runs, name, beside), _matrix(runs, name), ""

    def show(name: str | None, event: gradio.EventData) -> str:
        return _pictures(runs, name, event.row, event.column)

    shown: Any = [overview, matrix, pictures]
    blocks.load(fill, None, [run, other, *shown], **QUIET)
    run.input(choose, [run, other], shown, **QUIET)
    other.input(choose, [run, other], shown, **QUIET)
    matrix.click(show, run, pictures, **QUIET)


def _overview(runs: Runs, name: str | None, beside: str | None) -> str:
    chosen = [facts for facts in (runs.facts(name), runs.facts(beside)) if facts is not None]
    if len(chosen) == 2 and chosen[0].name == chosen[1].name:
        chosen.pop()
    if name and not chosen:
        return render("training.html", gone=name)
    shown = [{"facts": facts, "cards": _cards(facts)} for facts in chosen]
    values: dict[str, Any] = {"runs": shown, "charts": _charts(chosen), "command": runs.train_command()}
    if len(chosen) == 2:
        values |= {"rows": _rows(*chosen), "verdict": _verdict(runs, *chosen)}
    return render("training.html", **values)


def _cards(facts: Facts) -> list[tuple[str, str, str]]:
    cards = []
    if facts.metrics:
        low, high = map(percent, facts.metrics["accuracy_interval"])
        cards.append(("Test accuracy", percent(facts.metrics["accuracy"], 2), f"95%: {low} to {high}"))
        cards.append(("Test loss", f"{facts.metrics['loss']:.3f}", "cross-entropy"))
    if "parameters" in facts.config:
        cards.append(("Parameters", f"{facts.config['parameters']:,}", f"preset {facts.config.get('preset', '?')}"))
    if facts.history:
        seconds = facts.status.get("seconds") or sum(row.get("seconds", 0) for row in facts.history)
        cards.append(("Epochs", str(len(facts.history)), f"{seconds:.0f} s of training"))
    return cards


def _charts(chosen: list[Facts]) -> Markup:
    """Return loss and accuracy: of one run training and validation, of two both, told apart by colour."""
    if not any(len(facts.history) > 1 for facts in chosen):
        return Markup("")  # a point is no curve
    figures = []
    for what, title, share in (("loss", "Loss", False), ("accuracy", "Accuracy", True)):
        lines = []
        for place, facts in enumerate(chosen):
            start = f"{facts.name}, " if len(chosen) > 1 else ""
            style = f"run{place}" if len(chosen) > 1 else "single"
            for part, label in (("train", "training"), ("val", "validation")):
                points = [(row["epoch"], row[f"{part}_{what}"]) for row in facts.history if f"{part}_{what}" in row]
                lines.append(Line(start + label, f"{style} {part}", points))
        if what == "loss" and len(chosen) == 1:  # the diagnosis speaks of it
            lines.append(Line("trend of the validation loss", "trend", chosen[0].diagnosis.get("trend", ())))
        figures.append(chart(title, lines, share))
    return Markup("").join(figures)


def _rows(first: Facts, second: Facts) -> list[tuple[str, str, str, str]]:
    """Return what both runs have, as label, first, second, difference."""
    rows = []
    if first.metrics and second.metrics:
        one, two = first.metrics["accuracy"], second.metrics["accuracy"]
        rows.append(("Test accuracy", percent(one, 2), percent(two, 2), _points(two - one)))
        if first.metrics["class_names"] == second.metrics["class_names"]:
            for mine, other in zip(first.metrics["per_class"], second.metrics["per_class"], strict=True):
                difference = _points(other["recall"] - mine["recall"])
                rows.append((f"{mine['name']} found", percent(mine["recall"]), percent(other["recall"]), difference))
    ours, theirs = (
        {k: v for part in _SECTIONS for k, v in (facts.config.get(part) or {}).items()} for facts in (first, second)
    )
    for key in ours:
        if key in theirs and ours[key] != theirs[key]:
            rows.append((key.replace("_", " "), _plain(ours[key]), _plain(theirs[key]), ""))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _points(difference: float) -> str:
    return number(100 * difference, 2, sign=True)


def _verdict(runs: Runs, first: Facts, second: Facts) -> str:
    """Say whether two runs differ on the same test pictures by more than chance."""
    correct, other = runs.right(first.name), runs.right(second.name)
    if correct is None or other is None or len(correct) != len(other):
        return "Both need `fmnist evaluate` on the same test set to be compared."
    # The standard error of a paired difference: only pictures on which they disagree tell them apart.
    differences = other.astype(float) - correct
    margin = _95 * float(differences.std()) / math.sqrt(len(differences))
    better = second.name if differences.mean() > 0 else first.name
    by = f"{100 * abs(differences.mean()):.2f} ± {100 * margin:.2f} points of test accuracy"
    if abs(differences.mean()) <= margin:
        return f"Chance alone could make this difference ({by}). Several seeds tell more: fmnist compare."
    return f"{better} is better on these pictures, by {by}. How much of that is the seeds' luck, fmnist compare tells."


def _matrix(runs: Runs, name: str | None) -> str:
    facts = runs.facts(name)
    if facts is None or not facts.metrics:
        return render("matrix.html", metrics={}, run=facts.run if facts else None)
    counts = np.array(facts.metrics["confusion_matrix"])
    cells = np.stack([counts.astype(object), mistake_strengths(counts)], axis=-1).tolist()
    names = facts.metrics["class_names"]
    return render("matrix.html", name=facts.name, metrics=facts.metrics, names=names, matrix=cells)


def _pictures(runs: Runs, name: str | None, row: Any, column: Any) -> str:
    facts = runs.facts(name)
    names = facts.metrics.get("class_names", []) if facts else []
    if facts is None or not all(type(place) is int and 0 <= place < len(names) for place in (row, column)):
        return render("pictures.html", problem="There is no such cell.")
    try:
        images, shares, count = runs.pictures(facts.name, row, column)
    except FmnistError as error:
        return render("pictures.html", problem=f"The pictures cannot be shown: {error}")
    title = f"{names[row]}, recognised" if row == column else f"{names[row]}, predicted as {names[column]}"
    return render("pictures.html", title=title, pictures=list(zip(images, shares, strict=True)), count=count)
