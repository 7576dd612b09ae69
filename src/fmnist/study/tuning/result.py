"""Works out what a sweep found, scores its best trial on the test set, and writes the result: JSON, table and page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.config import leaves
from fmnist.errors import RunError
from fmnist.report.run_page import train_command
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history
from fmnist.study.tables import pipes
from fmnist.study.tuning.journal import FINISHED, Trial
from fmnist.study.tuning.sweep import Sweep
from fmnist.text import loss, percent, plural

SCORES = ("accuracy", "accuracy_interval", "loss", "num_images")  # of the best trial, on the test set


def collect(
    sweep: Sweep,
    folder: Path,
    trials: Sequence[Trial],
    importance: tuple[int, Mapping[str, float]],
    identity: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what `sweep.json` holds, from closed trials and their runs; the best one's test scores if it has some.

    Raises:
        RunError: no trial is finished.
    """
    finished = [trial for trial in trials if trial.loss is not None]
    if not finished:
        raise RunError(
            f"none of {plural(len(trials), 'trial')} in {folder} has finished; their losses stopped being numbers or "
            "their settings do not go together, which `sweep.json` tells of each; search smaller learning rates"
        )
    best = min(finished, key=lambda trial: (trial.loss, trial.number))
    run, own = RunDirectory(folder / best.name), leaves(sweep.base())
    config, scores = read_json(run.config), results.metrics(run)
    return {
        **identity,
        "state": "finished",
        "done": len(trials),
        "counts": dict(Counter(trial.outcome for trial in trials)),
        "own": {name: own[name] for name in identity["space"]},
        "importance": importance[1],
        "importance_epoch": importance[0],
        "best": {
            "run": best.name,
            "values": best.values,
            "val_loss": best.loss,
            "val_accuracy": results.model_row(run)["val_accuracy"],
            "test": {key: scores[key] for key in SCORES} if scores else {},
            "command": train_command(run, config, f"{folder.name}-best"),
        },
        "trials": [_row(folder, trial) for trial in trials],
        "dataset": config["dataset"],
        "epochs": config["training"]["epochs"],
        "environment": results.environment(run),
    }


def _row(folder: Path, trial: Trial) -> dict[str, Any]:
    """Return what the result holds of a trial; the scores of one that is not finished are those of its last epoch."""
    run = RunDirectory(folder / trial.name)
    history = read_history(run.history) if run.history.is_file() else []
    last = results.model_row(run) if trial.outcome == FINISHED else history[-1] if history else {}
    return {
        "run": trial.name,
        "outcome": trial.outcome,
        "val_loss": last.get("val_loss"),
        "val_accuracy": last.get("val_accuracy"),
        "epochs": len(history),
        "seconds": run.read_status().get("seconds", 0.0),
        "values": trial.values,
        "note": trial.note,
    }


def ranked(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the trials: the finished ones first, by their losses, then those that got furthest."""
    rows: list[dict[str, Any]] = result["trials"]
    return sorted(rows, key=lambda row: (row["outcome"] != FINISHED, -row["epochs"], row["val_loss"] or 0.0))


def sentence(result: Mapping[str, Any]) -> str:
    """Say what the sweep found."""
    best, first = result["best"], result["trials"][0]
    told = f"{best['run']} has the lowest validation loss, {loss(best['val_loss'])}"
    if best["run"] == first["run"]:
        told += ": the preset's own values, which no other trial improved on"
    elif first["outcome"] == FINISHED:
        told += f"; with the preset's own values it is {loss(first['val_loss'])}"
    told += f". It classifies {percent(best['val_accuracy'], 2)} of the validation images correctly"
    if best["test"]:
        low, high = (percent(bound, 2) for bound in best["test"]["accuracy_interval"])
        told += f", and {percent(best['test']['accuracy'], 2)} of the test images (95% interval {low} to {high})"
    return told + ". The validation images chose it, so their scores flatter it; the test images were read once."


def counts(result: Mapping[str, Any]) -> str:
    """Say what became of the trials: `20 trials: 8 finished, 12 stopped early`."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in result["counts"].items())
    return f"{plural(result['done'], 'trial')}: {told}"


def table(result: Mapping[str, Any]) -> list[list[str]]:
    """Return the table of all trials, its header first."""
    names = list(result["space"])
    rows = [
        [
            "trial",
            "validation loss",
            "validation accuracy, %",
            "epochs",
            "outcome",
            *(name.replace("_", " ") for name in names),
        ]
    ]
    for row in ranked(result):
        scores = ["–" if row["val_loss"] is None else loss(row["val_loss"])]
        scores += ["–" if row["val_accuracy"] is None else f"{100 * row['val_accuracy']:.2f}"]
        values = [told(row["values"].get(name)) for name in names]
        rows.append([row["run"], *scores, str(row["epochs"]), row["outcome"], *values])
    return rows


def told(value: Any) -> str:
    """Format the value of a setting."""
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def where(search: Any) -> str:
    """Say where a setting was searched, from the form that `sweep.json` has it in."""
    if isinstance(search, dict):
        return f"{search['low']:g} to {search['high']:g}" + (", log scale" if search["log"] else "")
    return " or ".join(map(told, search))


def markdown(result: Mapping[str, Any]) -> str:
    """Return the contents of `table.md`."""
    parts = [f"# Sweep {result['name']}", result["description"], sentence(result), counts(result) + "."]
    parts += ["```bash", result["best"]["command"], "```", pipes(table(result))]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text.replace("```bash\n\n", "```bash\n").replace("\n\n```\n", "\n```\n")
