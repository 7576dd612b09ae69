"""`fmnist runs`: lists the runs and studies in a folder."""

from pathlib import Path
from typing import Any

from fmnist.cli import options
from fmnist.cli.terminal import print_table, tell
from fmnist.errors import FmnistError
from fmnist.run import results
from fmnist.run.directory import RunDirectory, list_runs, read_json, train_command
from fmnist.study import list_studies
from fmnist.text import percent, plural


@options.command("runs", "fmnist runs", "fmnist runs --runs-dir elsewhere --json")
@options.runs_dir_option
def command(runs_dir: Path, as_json: bool) -> None:
    """List the runs in a folder, the newest last, and the studies."""
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
