"""The report of a run: one HTML file that needs nothing else. Reads the run directory only; it draws nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from fmnist.benchmark import exported_files
from fmnist.config import leaf_fields
from fmnist.data.sources import OFFICIAL_FILES
from fmnist.early_stopping import best_epoch
from fmnist.errors import InputError
from fmnist.plots import final_gap, style
from fmnist.presets import PRESETS, command_flags, restore
from fmnist.rundir import HISTORY_COLUMNS, RunDirectory, read_history, read_json, write_bytes

# The plots' colours give way to the page's, which are others on a dark screen.
_THEME = {
    style.PAPER: "var(--paper)",
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.FAINT: "var(--faint)",
    style.TRAINING: "var(--training)",
    style.VALIDATION: "var(--validation)",
}
_CONFUSIONS = 8


def write_report(run: RunDirectory) -> Path:
    """Write `report.html` from the files of a run; where one is missing, the report names the command that makes it.

    Args:
        run: has at least `config.json`.

    Returns:
        The path of the report.

    Raises:
        InputError: the configuration is missing, or a file of the run cannot be read.
        RunError: the report cannot be written.
    """
    config = read_json(run.need(run.config, "train"))
    environment, status, metrics, diagnosis = (
        read_json(path) if path.is_file() else {} for path in (run.environment, run.status, run.metrics, run.diagnosis)
    )
    history = read_history(run.history) if run.history.is_file() else []
    best = best_epoch(history)
    settings = _settings(config)
    context = {
        "name": run.name,
        "run_name": shlex.quote(run.name),
        "preset": config.get("preset", "custom"),
        "status": status,
        "cards": _cards(config, environment, status, metrics, history),
        "history": history,
        "columns": [name for name in HISTORY_COLUMNS if any(name in row for row in history)],
        "diagnosis": diagnosis,
        "best": best,
        "curve_sentence": describe_curves(history) if history else "",
        "metrics": metrics,
        "exported": exported_files(run),
        "confusions": frequent_confusions(metrics) if metrics else [],
        "settings": settings,
        "environment": {key: value for key, value in environment.items() if value not in (None, {}, "")},
        "command": train_command(run.name, config, environment),
        "picture": lambda name, parts: picture(run.plots / f"{name}.svg", parts),
    }
    html = page_environment().get_template("report.html").render(context)
    write_bytes(run.report, html.encode())
    return run.report


def page_environment() -> Environment:
    """Return what renders the package's templates, with the filters that they use."""
    environment = Environment(loader=PackageLoader("fmnist"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "percent": _percent,
        "plain": _plain,
        "cell": _cell,
        "unbroken": lambda text: text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"),
        "words": lambda name: name.replace("_", " "),
    }
    return environment


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}%"


def _plain(value: Any) -> str:
    """Format any JSON value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)


def _cell(value: float, column: str) -> str:
    """Format a cell of the history."""
    if "accuracy" in column:
        return _percent(value, 2)
    return f"{value:.4f}" if "loss" in column else f"{value:.1f}" if column == "seconds" else _plain(value)


def duration(seconds: float) -> str:
    """Format seconds for a person: `4.3 s`, `75 s`, `10 min`, `2 h 1 min`."""
    minutes, hours = round(seconds / 60), round(seconds) // 3600
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{hours} h {minutes - 60 * hours} min" if hours else f"{minutes} min"


def _cards(
    config: dict[str, Any],
    environment: dict[str, Any],
    status: dict[str, Any],
    metrics: dict[str, Any],
    history: list[dict[str, float]],
) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, note."""
    cards, recipe = [], config.get("training", {})
    if metrics:
        low, high = metrics["accuracy_interval"]
        span = f"95% interval {_percent(low, 2)} to {_percent(high, 2)}, n = {metrics['num_images']:,}"
        cards.append(("Test accuracy", _percent(metrics["accuracy"], 2), span))
        cards.append(("Test loss", f"{metrics['loss']:.4f}", "mean cross-entropy"))
    elif history and "val_accuracy" in history[-1]:
        cards.append(("Validation accuracy", _percent(history[-1]["val_accuracy"], 2), "after the last epoch"))
    if "parameters" in config:
        cards.append(
            ("Parameters", f"{config['parameters']:,}", f"{config.get('model', {}).get('family', '')} network")
        )
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


def describe_curves(history: list[dict[str, float]]) -> str:
    """Say in plain words what the learning curves show: the best epoch, the last accuracies, the gap.

    Args:
        history: rows as `fmnist.rundir.read_history` returns them, at least one.
    """
    last, best, gap = history[-1], best_epoch(history), final_gap(history)
    parts = []
    if best is not None:
        loss = next(row["val_loss"] for row in history if row["epoch"] == best)
        where = f"after epoch {best} of {len(history)}" if best != last["epoch"] else "after the last epoch"
        parts.append(f"The validation loss was lowest {where} ({loss:.3f}).")
    if gap is not None:
        parts.append(
            f"At the end the model is right on {_percent(last['train_accuracy'])} of the training images and on "
            f"{_percent(last['val_accuracy'])} of the validation images: a gap of {100 * gap:.1f} points.".replace(
                "-", "\N{MINUS SIGN}"
            )
        )
    elif "train_accuracy" in last:
        parts.append(
            f"At the end the model is right on {_percent(last['train_accuracy'])} of the training images; "
            "no images were kept for validation."
        )
    return " ".join(parts)


def frequent_confusions(metrics: dict[str, Any], count: int = _CONFUSIONS) -> list[dict[str, Any]]:
    """Return the largest numbers beside the diagonal: true and predicted name, count, share of the true class."""
    matrix, names = metrics["confusion_matrix"], metrics["class_names"]
    found = [
        {"true": names[row], "predicted": names[column], "count": number, "share": number / sum(matrix[row])}
        for row in range(len(names))
        for column, number in enumerate(matrix[row])
        if row != column and number
    ]
    return sorted(found, key=lambda item: -item["count"])[:count]


def _settings(config: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return each section's settings: name, value, the preset's value, whether they differ, and the help text."""
    base = PRESETS.get(config.get("preset", ""), PRESETS["reference"])[1].to_dict()
    helps = {name: spec.metadata["help"] for name, (_, spec) in leaf_fields().items()}
    return {
        section: [
            {
                "name": name,
                "value": value,
                "preset": defaults.get(name),
                "changed": name in defaults and _flag_text(value) != _flag_text(defaults[name]),
                "help": helps.get(name, ""),
            }
            for name, value in config[section].items()
        ]
        for section, defaults in base.items()
        if isinstance(defaults, dict) and isinstance(config.get(section), dict)
    }


def _flag_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def train_command(name: str, config: dict[str, Any], environment: dict[str, Any]) -> str:
    """Return the command that trains this run again: the preset, and a flag for each setting that differs from it."""
    try:
        preset_flag, *flags = command_flags(restore(config))
    except InputError:  # another version's settings: the name of its preset is all that can be told
        preset_flag, flags = ["--preset", str(config.get("preset", "reference"))], []
    lines = [["fmnist", "train", *preset_flag], ["--name", name]]
    digests = environment.get("data_sha256")
    if digests and digests != {file.name: file.sha256 for file in OFFICIAL_FILES}:
        lines.append(["--data-dir", str(environment.get("data_source", "DIR"))])
    return " \\\n    ".join(map(shlex.join, [*lines, *flags]))


def picture(path: Path, columns: int, rows: int = 1) -> Markup | None:
    """Return a plot in the page's colours as an SVG element for each of its parts; a narrow page has them in a column.

    Args:
        path: of an SVG file that `plots` drew; None comes back where there is none.
        columns: parts side by side, of the same width.
        rows: of parts, of the same height.
    """
    if not path.is_file():
        return None
    _, start, rest = path.read_text(encoding="utf-8").partition("<svg ")
    size = re.search(r'width="[\d.]+pt" height="[\d.]+pt" viewBox="0 0 ([\d.]+) ([\d.]+)"', rest)
    if not start or size is None:
        return None
    for colour, variable in _THEME.items():
        rest = rest.replace(colour, variable)
    # Ids are unique in a file; on the page five files meet.
    rest = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", rest)
    side, top = 72 * style.SIDE_STRIP, 72 * style.TITLE_STRIP
    width, height = (float(size[1]) - 2 * side) / columns, (float(size[2]) - top) / rows
    boxes = [
        f'viewBox="{side + column * width:.1f} {top + row * height:.1f} {width:.1f} {height:.1f}"'
        for row in range(rows)
        for column in range(columns)
    ]
    drawing = start + rest.replace(size[0], boxes[0], 1)
    drawing += "".join(f'<svg {box}><use href="#{path.stem}-figure_1"/></svg>' for box in boxes[1:])
    # 4/3 CSS pixels are a point. What has one part is shrunk by a fifth at most, to keep its letters legible; of many
    # rows three parts fit beside each other.
    limits = f"max-width:{columns * width * 4 / 3:.0f}px;--part:{'15rem' if rows > 1 else '20.5rem'}"
    limits += f";min-width:{width * 16 / 15:.0f}px" if columns == 1 else ""
    # Our own drawing; and the page's policy lets no script run.
    return Markup(f'<div class="panels" style="{limits}" aria-hidden="true">{drawing}</div>')
