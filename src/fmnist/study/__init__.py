"""Studies: a baseline and its variants, each trained with the same seeds on the same splits, compared in pairs.

    result = fmnist.compare(fmnist.read_study("remedies"), dataset, "runs/remedies")

`docs/overfitting.md` says what the columns of the table mean and where its intervals come from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmnist.data.dataset import Dataset
from fmnist.errors import FmnistError
from fmnist.run.directory import STUDY_FILE, SWEEP_FILE, RunDirectory, list_runs, read_json, write_bytes, write_json
from fmnist.study import execution, words
from fmnist.study.definition import BASELINE, Study, builtin_studies, folder_name, read_study
from fmnist.study.duration import forecast, total
from fmnist.study.engines.driver import runner_on
from fmnist.study.folds import cross_validate
from fmnist.study.result import collect
from fmnist.study.runner import Forecast, Job, Runner, StudyWatcher, corrupt, is_done, run_in_turn
from fmnist.text import plain

__all__ = [
    "BASELINE", "Forecast", "Job", "Runner", "Study", "StudyWatcher", "builtin_studies", "compare", "cross_validate",
    "folder_name", "forecast", "is_done", "list_studies", "plan", "read_study", "run_in_turn", "runner_on", "total",
    "words", "write_results",
]  # fmt: skip

TABLE = "table.md"


def compare(
    study: Study,
    dataset: Dataset,
    folder: str | Path,
    *,
    watcher: StudyWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
    runner: Runner = run_in_turn,
) -> dict[str, Any]:
    """Carry out a study, or what is left of it, and write `study.json`, `table.md`, `report.html` and its plots.

    Every run is a run directory of its own, `<variant>-seed<k>` in the study's folder. Runs that are finished are
    skipped and an interrupted one goes on, so that the same call after any interruption ends in the same table.

    Args:
        study: from `read_study`, or put together in Python.
        dataset: from `fmnist.load_dataset`.
        folder: the study's, e.g. `runs/remedies`.
        watcher: is told what happens, and first how long it will take; None stays silent and measures nothing.
        should_stop: asked after each segment of steps.
        overwrite: make runs again that were made with other settings or other data.
        runner: what carries out the list of runs; `runner_on` gives one for several processes or machines.

    Returns:
        The contents of `study.json`.

    Raises:
        InputError: the folder holds a run, runs made with other settings or other data, or the data does not fit.
        RunError: the study is in use, or a run failed for a reason that is not its settings.
        Interrupted: `should_stop` said so; call again to go on.
    """
    folder = Path(folder)
    jobs, stale = plan(study, dataset, folder)
    with execution.carried_out(folder, jobs, stale, dataset, watcher, should_stop, overwrite, runner):
        if study.corrupted_images:
            corrupt(jobs, dataset, study.corrupted_images, watcher or StudyWatcher(), should_stop)
        return write_results(study, folder)


def write_results(study: Study, folder: Path) -> dict[str, Any]:
    """Work out the result of finished runs and write table, pictures, page and, last, `study.json`.

    Raises:
        InputError: a run is missing or unfinished, or one of its files cannot be read.
    """
    from fmnist.study import page

    result = words.add_sentences(collect(study, folder))
    write_bytes(folder / TABLE, words.markdown(result).encode())
    page.write_page(result, folder)
    write_json(folder / STUDY_FILE, result)
    return result


def plan(study: Study, dataset: Dataset, folder: Path) -> tuple[list[Job], dict[RunDirectory, str]]:
    """Return every run of a study with its settings, seed by seed, and the stored ones that were made differently.

    All variants of the first seed come first, so that a table of whole pairs is there early. The folder need not exist.

    Raises:
        InputError: the folder holds a single run, or a setting leaves nothing to train on.
    """
    each = [(name, seed) for seed in study.seeds for name in study.names()]
    jobs = [(RunDirectory(folder / folder_name(*one)), study.config(*one)) for one in each]
    return jobs, execution.check(folder, jobs, dataset)


def list_studies(runs_dir: Path) -> list[dict[str, Any]]:
    """Return kind (`study` or `sweep`), name, state and number of runs (all, done) of each in a folder, by name."""
    found = []
    for path in sorted(path for name in (STUDY_FILE, SWEEP_FILE) for path in runs_dir.glob(f"*/{name}")):
        try:
            content = read_json(path)
        except FmnistError:
            content = {"state": "damaged"}
        runs = list_runs(path.parent)
        known = content.get("num_runs")
        found.append(
            {
                "kind": path.stem,
                "name": plain(path.parent.name),
                "state": plain(str(content.get("state", "damaged"))),
                "done": sum(map(is_done, runs)),
                "runs": known if isinstance(known, int) else len(runs),
            }
        )
    return found
