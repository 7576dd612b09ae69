"""`fmnist runs`: lists the runs and studies in a folder, or writes all that is known of the runs as a table."""

import csv
import datetime
import sys
from pathlib import Path
from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import csv_cell, print_table, tell
from fmnist.errors import FmnistError
from fmnist.run import facts, results
from fmnist.run.directory import RunDirectory, list_runs, read_json, train_command
from fmnist.study import list_studies
from fmnist.text import percent, plural


@options.command("runs", "fmnist runs", "fmnist runs --export csv > runs.csv")
@options.runs_dir_option
@click.option("--export", "form", type=click.Choice(["csv"]), help="Print a row a run: its settings and its scores.")
def command(runs_dir: Path, form: str | None, as_json: bool) -> None:
    """List the runs in a folder, the newest last, and the studies."""
    if form and as_json:
        raise click.UsageError("--json and --export exclude each other")
    if form:
        _print_csv([_known(run) for run in list_runs(runs_dir)])
        return
    rows, studies = [_row(run) for run in list_runs(runs_dir)], list_studies(runs_dir)
    if as_json:
        options.print_json({"runs_dir": str(runs_dir), "runs": rows, "studies": studies})
        return
    if not rows and not studies:
        tell(f"No runs in {runs_dir} yet; `{train_command(runs_dir)}` makes one.")
    if rows:
        table = [["name", "preset", "state", "epochs", "test accuracy"]]
        for row in rows:
            score = "-" if row["accuracy"] is None else percent(row["accuracy"], 2)
            table.append([row["name"], row["preset"], row["state"], f"{row['epoch']}/{row['epochs']}", score])
        print_table(table, left=3)
    for number, study in enumerate(studies):
        start = "\n" if rows and not number else ""
        done = f"{study['done']} of {plural(study['runs'], 'run')} done"
        tell(f"{start}{study['kind']} {study['name']}: {done}, {study['state']}")


def _row(run: RunDirectory) -> dict[str, Any]:
    """Return what the list shows of a run; one with damaged files is shown as such, and hides no other."""
    try:
        config = read_json(run.config)
        status = run.read_status()
        accuracy = float(found["accuracy"]) if (found := results.metrics(run)) else None
        return {
            "name": run.name,
            "preset": str(config["preset"]),
            "state": run.state(),
            "epoch": int(status.get("epoch", 0)),
            "epochs": int(status.get("epochs", config["training"]["epochs"])),
            "accuracy": accuracy,
        }
    except (FmnistError, AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError):
        return {"name": run.name, "preset": "?", "state": "damaged", "epoch": 0, "epochs": 0, "accuracy": None}


def _known(run: RunDirectory) -> dict[str, Any]:
    """Return all that is known of a run, in flat names; of one with damaged files, what the list shows."""
    told = _row(run)
    if told["state"] == "damaged":
        return told
    started = datetime.datetime.fromtimestamp(run.started(), datetime.UTC).isoformat(timespec="seconds")
    row = {name: told[name] for name in ("name", "preset", "state", "epoch")} | {"started": started}
    try:
        row |= {"verdict": results.diagnosis(run).get("verdict"), **facts.scores(run)}
        last = results.model_row(run) if run.history.is_file() else {}
        row |= {name: value for name, value in last.items() if name.startswith(("train_", "val_"))}
        row |= {"seconds": run.read_status().get("seconds"), "data_source": results.environment(run).get("data_source")}
        return row | facts.settings(run)
    except (FmnistError, AttributeError, KeyError, OSError, TypeError, ValueError):
        return row | {"state": "damaged"}


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """Print a row a run and a column for each name that a run has; a cell is empty where a run has none."""
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["name"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return csv_cell(value) if isinstance(value, str) else value
