"""Shows how cross-validation goes, for `fmnist train --folds N`, and prints what it found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmnist.cli import options
from fmnist.cli.study_progress import StudyProgress
from fmnist.cli.terminal import print_table, say, tell
from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.study import cross_validate
from fmnist.text import duration, percent
from fmnist.track import Tracking
from fmnist.track.studies import TrackedStudy
from fmnist.training.progress import Interrupted


def train(config: Config, dataset: Dataset, folder: Path, systems: Sequence[str], *, as_json: bool, **how: Any) -> bool:
    """Train what is left of the folds and print the result; return whether it came to that, rather than to a stop.

    `how` is passed on to `cross_validate`.
    """
    say(f"Folds     {folder}: {config.data.folds} runs")
    watcher = StudyProgress()
    try:
        with Tracking(systems, watcher.note) as tracking:
            result = cross_validate(config, dataset, folder, watcher=TrackedStudy(tracking, folder, watcher), **how)
    except Interrupted:
        watcher.close()
        say(f"Stopped; the same command continues {folder}")
        return False
    finally:
        watcher.close()
    if as_json:
        options.print_json(result)
    else:
        _print(result)
        tell(f"Runs           {folder}")
    return True


def _print(result: dict[str, Any]) -> None:
    table = [["fold", "images held out", "accuracy", "loss", "time"]]
    for row in result["rows"]:
        scores = [percent(row["accuracy"], 2), f"{row['loss']:.4f}", duration(row["seconds"])]
        table.append([row["run"], f"{row['images']:,}", *scores])
    print_table(table)
    mean, pooled = result["mean"], result["pooled"]
    low, high = (percent(min(max(bound, 0), 1), 2) for bound in mean["interval"])
    count = f"{pooled['correct']:,} of {pooled['images']:,} images"
    tell(f"\nMean           {percent(mean['accuracy'], 2)} (95% interval {low} to {high}, Student's t over the folds)")
    low, high = (percent(bound, 2) for bound in pooled["interval"])
    tell(f"All images     {percent(pooled['accuracy'], 2)}, {count} (95% interval {low} to {high}, Wilson's)")
    tell("Test set       not looked at")
