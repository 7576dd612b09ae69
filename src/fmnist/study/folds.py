"""Cross-validation: a run for each fold of the training images, and how well they do on what each held out."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.errors import InputError
from fmnist.evaluation.metrics import wilson_interval
from fmnist.run import results
from fmnist.run.directory import STUDY_FILE, RunDirectory, read_json, write_json
from fmnist.study import execution
from fmnist.study.runner import Job, Runner, StudyWatcher, run_in_turn
from fmnist.study.statistics import student_quantile


def cross_validate(
    config: Config,
    dataset: Dataset,
    folder: str | Path,
    *,
    watcher: StudyWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
    runner: Runner = run_in_turn,
) -> dict[str, Any]:
    """Train as many runs as `config.data.folds` says, each with another part of the training images held out.

    The test set is not looked at. Every run is a run directory of its own, `fold<k>` in the folder; finished ones are
    skipped and an interrupted one goes on, so that the same call after any interruption ends in the same result.

    Args:
        config: from `fmnist.preset`, with `folds` of 2 or more.
        dataset: from `fmnist.load_dataset`; of its training images each is held out once.
        folder: where the runs are to lie, e.g. `runs/five`.
        watcher: is told what happens, and first how long it will take; None stays silent and measures nothing.
        should_stop: asked after each segment of steps.
        overwrite: make runs again that were made with other settings or other data.
        runner: what carries out the list of runs; `runner_on` gives one for several processes or machines.

    Returns:
        The contents of `study.json`: `rows`, one a fold (`fold`, `run`, `images` held out, `accuracy` on them from 0 to
        1, `loss` in nats, `seconds`); `mean`, the accuracy's mean over the folds with its `sd` and Student's 95%
        `interval`, which holds for other divisions of the same images only roughly, since any two folds share most of
        the images they learn from (Y. Bengio and Y. Grandvalet, "No unbiased estimator of the variance of K-fold
        cross-validation", JMLR 5, 2004); `pooled`, the share `accuracy` of all images that were classified correctly
        while they were held out, with Wilson's 95% `interval`.

    Raises:
        InputError: the folder holds a run, runs made with other settings or other data, or the data does not fit.
        RunError: the folder is in use, a fold's loss is not finite, or a run failed for another reason.
        Interrupted: `should_stop` said so; call again to go on.
    """
    folder = Path(folder)
    if config.data.folds < 2:
        raise InputError(f"folds: got {config.data.folds}, expected 2 or more")
    folds = [config.with_overrides(fold=fold) for fold in range(config.data.folds)]
    jobs = [(RunDirectory(folder / f"fold{fold}"), one) for fold, one in enumerate(folds)]
    stale = execution.check(folder, jobs, dataset)
    with execution.carried_out(folder, jobs, stale, dataset, watcher, should_stop, overwrite, runner):
        result = collect(jobs)
        write_json(folder / STUDY_FILE, result)
        return result


def collect(jobs: list[Job]) -> dict[str, Any]:
    """Return the result of finished folds, as `cross_validate` does.

    Raises:
        InputError: the loss of one is not finite, so that nothing was found out about the images it held out.
    """
    rows = [_row(*job) for job in jobs]
    images, correct = (sum(row[name] for row in rows) for name in ("images", "correct"))
    accuracies = [row["accuracy"] for row in rows]
    mean, sd = float(np.mean(accuracies)), float(np.std(accuracies, ddof=1))
    margin = student_quantile(len(rows) - 1) * sd / math.sqrt(len(rows))
    run, config = jobs[0]
    return {
        "name": run.path.parent.name,
        "state": "finished",
        "num_runs": len(jobs),
        "preset": config.preset,
        "seed": config.training.seed,
        "rows": rows,
        "mean": {"accuracy": mean, "sd": sd, "interval": [mean - margin, mean + margin]},
        "pooled": {
            "accuracy": correct / images,
            "interval": list(wilson_interval(correct, images)),
            "correct": correct,
            "images": images,
        },
    }


def _row(run: RunDirectory, config: Config) -> dict[str, Any]:
    if run.state() == "diverged":
        raise InputError(f"{run.path}: {run.read_status()['message']}; a smaller learning rate may help")
    last, images = results.model_row(run), read_json(run.config)["dataset"]["num_validation"]
    return {
        "fold": config.data.fold,
        "run": run.name,
        "images": images,
        "correct": round(last["val_accuracy"] * images),
        "accuracy": last["val_accuracy"],
        "loss": last["val_loss"],
        "seconds": run.read_status()["seconds"],
    }
