"""Carries out a study's list of (run directory, settings), one after another.

`Runner` is the whole contract: `engines/driver.py` takes the place of `run_in_turn` and carries out the list elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.errors import Diverged, FmnistError, RunError
from fmnist.run import results
from fmnist.run.directory import SWEEP_FILE, RunDirectory, has_validation, read_json, write_json

if TYPE_CHECKING:
    from fmnist.training.progress import Watcher

Job = tuple[RunDirectory, Config]


@dataclass(frozen=True)
class Forecast:
    """Seconds that a run will take, with the range they are expected in, and where they come from."""

    seconds: float
    low: float
    high: float
    source: str  # "runs" or "probe"


class StudyWatcher:
    """What a study tells while it runs. Every method may be left as it is."""

    def start(self, jobs: Sequence[Job], forecasts: Sequence[Forecast]) -> None:
        """The runs, and how long each that is not done is thought to take; empty where an engine carries them out."""

    def begin(self, run: RunDirectory) -> Watcher | None:
        """A run begins; what is returned is told how it goes."""

    def end(self, run: RunDirectory) -> None:
        """A run is finished, evaluated and diagnosed, or its loss stopped being a number."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


Runner = Callable[[Sequence[Job], Dataset, StudyWatcher, Callable[[], bool]], None]


def run_in_turn(
    jobs: Sequence[Job], dataset: Dataset, watcher: StudyWatcher, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Carry out the jobs in this process, one after another; what is done already is skipped.

    An interrupted run goes on from its newest whole checkpoint, or starts again where it has none, so that the list can
    be given again after any interruption and ends in the same files. A run whose loss stops being a number is left
    behind as diverged: it would diverge again.

    Raises:
        Interrupted: `should_stop`, asked after each segment of steps, said so; the run under way is saved.
        RunError: a run failed for a reason that would stop the next one too, such as a full disk.
    """
    from fmnist import backend

    backend.expect_many_models()
    for run, config in jobs:
        if is_done(run):
            continue
        own = watcher.begin(run)
        with contextlib.suppress(Diverged):
            complete(run, config, dataset, own, should_stop)
        watcher.end(run)


def complete(
    run: RunDirectory, config: Config, dataset: Dataset, watcher: Watcher | None, should_stop: Callable[[], bool]
) -> None:
    """Do what a run still lacks: training, evaluation, diagnosis. Its pictures are left to `fmnist report`.

    Raises:
        Diverged: its loss stopped being a number.
        RunError: it is in use, or failed for another reason.
        Interrupted: `should_stop` said so; the run is saved.
    """
    from fmnist import diagnosis, pipeline
    from fmnist.evaluation import evaluate
    from fmnist.run import checkpoints
    from fmnist.training.progress import Interrupted

    told: dict[str, Any] = {"watcher": watcher, "train_only": True}
    told["should_stop"] = lambda: should_stop() or run.stopped.is_file()
    if not run.exists() or run.state() != "finished":
        try:
            checkpoints.load_latest(run.checkpoints)
            resumable = run.exists()
        except RunError:
            resumable = False
        try:
            if resumable:
                pipeline.resume(run, dataset, **told)
            else:
                pipeline.train(config, dataset, run, overwrite=True, **told)
        except Interrupted:
            if run.stopped.is_file():
                return
            raise
    with run.lock():
        if not _is_scored(run):
            evaluate.evaluate(run, dataset)
        if has_validation(run):
            diagnosis.diagnose_run(run)


def stop_early(run: RunDirectory, reason: str) -> None:
    """Let a run end after the segment of steps under way, wherever it is carried out; it counts as done then."""
    write_json(run.stopped, {"reason": reason})


def corrupt(
    jobs: Sequence[Job],
    dataset: Dataset,
    num_images: int,
    watcher: StudyWatcher,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Score each finished run on so many corrupted test images, all on the same ones; skip what has it.

    Raises:
        Interrupted: `should_stop`, asked before each run, said so.
    """
    from fmnist.evaluation import robustness
    from fmnist.training.progress import Interrupted

    wanted = min(num_images, len(dataset.test_labels))
    finished = [run for run, _ in jobs if run.state() == "finished"]
    waiting = [run for run in finished if results.robustness(run).get("num_images") != wanted]
    for number, run in enumerate(waiting, 1):
        if should_stop():
            raise Interrupted
        watcher.note(f"Scoring on corrupted images: {number} of {len(waiting)}")
        with run.lock():
            robustness.measure(run, dataset, num_images=wanted)


def _is_scored(run: RunDirectory) -> bool:
    """Whether a run has its scores. Those of a fold are in its history; of a sweep's runs only the winner gets some."""
    is_fold = bool(read_json(run.config)["data"].get("folds"))
    is_trial = (run.path.parent / SWEEP_FILE).is_file()
    return is_fold or is_trial or (run.metrics.is_file() and run.predictions.is_file())


def is_done(run: RunDirectory) -> bool:
    """Whether nothing is left to do for a run: it is finished, evaluated and diagnosed, was stopped or has diverged."""
    try:
        if not run.exists():
            return False
        state, scored = run.state(), _is_scored(run)
        diagnosed = run.diagnosis.is_file() or not has_validation(run)
        return state == "diverged" or run.stopped.is_file() or (state == "finished" and scored and diagnosed)
    except (FmnistError, KeyError, TypeError):  # a damaged file: done again
        return False
