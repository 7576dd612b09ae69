"""Runs the pipeline: train, calibrate, evaluate, diagnose, report, one after another."""

from __future__ import annotations

import datetime
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist import backend, diagnosis, models
from fmnist.config import Config, restore
from fmnist.data import decisions, shape
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.errors import Diverged, InputError, LostPeer, RunError
from fmnist.models import pretrained
from fmnist.run import environment, results
from fmnist.run.directory import RunDirectory, has_validation, is_study, read_json, write_bytes, write_json
from fmnist.text import plural

if TYPE_CHECKING:
    from fmnist.training.distillation import Teacher
    from fmnist.training.progress import Watcher


def train(
    config: Config,
    dataset: Dataset,
    run: RunDirectory | str | Path,
    *,
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
    train_only: bool = False,
) -> RunDirectory:
    """Train a new run, then calibrate and evaluate it, diagnose its history, draw its plots and write its report.

    Args:
        config: from `fmnist.preset`.
        dataset: from `fmnist.load_dataset`.
        run: the directory to write, e.g. `runs/first`.
        watcher: is told what happens; None stays silent.
        should_stop: asked after each segment of steps, and between evaluation and diagnosis.
        overwrite: replace a run that is there already.
        train_only: stop after training.

    Raises:
        InputError: there is a run already and `overwrite` is not set, the data set does not fit the settings, or the
            run would start from itself.
        RunError: the run is in use, the loss is not finite, the disk is full.
        LostPeer: another process that trains the run has ended; `resume` goes on.
        Interrupted: `should_stop` said so; `resume` goes on.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    config = pretrained.with_paths(config, run)
    check(config, dataset)
    with run.lock():
        check_place(run, overwrite)
        backend.prepare(config.engine)
        from fmnist.training.distillation import Teacher

        teacher = Teacher(config, dataset) if config.distillation.teacher else None
        decided = decisions.read_decisions(config.data.decisions, dataset)
        _clear(run)
        place = str(dataset.folder) if dataset.folder else None
        data = {"data_source": dataset.source, "data_dir": place, "data_sha256": dataset.sha256}
        data["precision"] = backend.precision(config.engine)
        data["started"] = datetime.datetime.now(datetime.UTC).isoformat()
        write_json(run.environment, environment.environment() | data)
        facts = _facts(config, dataset) | ({"teacher": teacher.facts} if teacher else {})
        if config.data.decisions:
            write_bytes(run.decisions, decided.content)
            facts["decisions"] = decided.facts
        write_json(run.config, config.to_dict() | facts)
        return _go(config, dataset, run, watcher, should_stop, train_only, teacher, resume=False)


def resume(
    run: RunDirectory,
    dataset: Dataset,
    *,
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    train_only: bool = False,
) -> RunDirectory:
    """Continue a run after its newest whole checkpoint, with the settings it was started with.

    One that was ended before its first checkpoint starts again; one that was ended after training is evaluated,
    diagnosed and reported. One that lost its model, history or status gets them again.

    Raises:
        InputError: the run is finished, or the data is not what it was trained on.
        RunError: the run is in use, or every checkpoint is damaged.
        Interrupted: `should_stop` said so.
    """
    with run.lock():
        config = restore(read_json(run.config))
        check_resumable(run, train_only)
        same_data = results.trained_on(results.environment(run), dataset.sha256)
        if same_data is None:
            raise InputError(f"{run.environment} does not tell the data of the run; start again with `overwrite=True`")
        if not same_data:
            raise InputError(
                f"{run.path} was trained on other data than {dataset.source}; give the same data with `data_dir`"
            )
        decisions.of_run(run, dataset)  # before anything slow, and before the run is marked as failed
        backend.prepare(config.engine)
        from fmnist.training.distillation import Teacher

        teacher = None
        if config.distillation.teacher and not _is_trained(run):
            teacher = Teacher(config, dataset)
            before = read_json(run.config).get("teacher")
            if teacher.facts != before:
                raise InputError(
                    f"{run.path} was taught by {before}, and {config.distillation.teacher} is now {teacher.facts}; "
                    "put the first one back, or start again with `overwrite=True`"
                )
        return _go(config, dataset, run, watcher, should_stop, train_only, teacher, resume=True)


def check_place(run: RunDirectory, overwrite: bool) -> None:
    """Check that a new run may be written here, without loading a backend.

    Raises:
        InputError: there is a study, or a run and `overwrite` is not set.
    """
    if is_study(run.path):
        raise InputError(f"{run.path} holds a study or a sweep; choose another name")
    if run.exists() and not overwrite:
        told = f"{run.path} holds a run already ({run.state()})"
        if run.state() not in ("finished", "diverged"):
            told += f"; continue it with `{run.command('train --resume')}`"
        raise InputError(f"{told}; choose another name, or replace it with `overwrite=True`")


def check_resumable(run: RunDirectory, train_only: bool) -> None:
    """Check that something is left to do for a run, without loading a backend.

    Raises:
        InputError: the run is finished.
    """
    if _is_trained(run) and (train_only or run.report.is_file()):
        raise InputError(f"{run.path} is finished; there is nothing to resume")


def _go(
    config: Config,
    dataset: Dataset,
    run: RunDirectory,
    watcher: Watcher | None,
    should_stop: Callable[[], bool],
    train_only: bool,
    teacher: Teacher | None,
    *,
    resume: bool,
) -> RunDirectory:
    """Train if that is not finished, then do the rest of the pipeline."""
    from fmnist.training import loop
    from fmnist.training.progress import Interrupted, Progress, Watcher, write_status

    watcher = watcher or Watcher()
    try:
        if not resume:
            write_status(run, "running", Progress(epochs=config.training.epochs), 0)
        if not _is_trained(run):
            if config.engine.precision == "bfloat16" and not backend.multiplies_bfloat16():
                watcher.note(
                    "This machine is not known to multiply bfloat16 natively; without that, steps take several times "
                    "as long as with the `precision` float32"
                )
            if teacher and teacher.num_seen:
                watcher.note(
                    f"The teacher learnt from {teacher.num_seen:,} of the validation images, whose scores may flatter; "
                    "with its own `seed` and `validation_fraction` it learns from none"
                )
            if not train_only:  # the report's imports take as long as an eighth of the training of `fast`
                threading.Thread(target=import_module, args=("fmnist.report.run_page",), daemon=True).start()
            how: dict[str, Any] = {"resume": resume, "teacher": teacher.probabilities if teacher else None}
            loop.train(config, dataset, run, watcher=watcher, should_stop=should_stop, **how)
    except Interrupted:
        backend.leave()  # all were interrupted at once
        raise
    except LostPeer:
        raise
    except Exception as error:
        _mark_failed(run, error)
        raise
    if not backend.leave() or train_only:
        return run
    from fmnist.evaluation.evaluate import evaluate
    from fmnist.report import plots, run_page

    if not config.data.folds:
        watcher.note(f"Calibrating the saved model, evaluating it on {len(dataset.test_labels):,} test images")
        evaluate(run, dataset)
    if should_stop():
        raise Interrupted
    if has_validation(run):
        diagnosis.diagnose_run(run)
    watcher.note("Drawing the plots and writing the report")
    plots.draw_all(run, dataset)
    run_page.write_report(run)
    return run


def _is_trained(run: RunDirectory) -> bool:
    """Whether training is finished and what it writes is there; else it goes on from the last checkpoint."""
    return run.state() == "finished" and run.model.is_file() and run.history.is_file()


def check(config: Config, dataset: Dataset) -> None:
    """Refuse settings that leave nothing to train on, or start from weights that aren't there.

    Raises:
        InputError: says which setting and why.
    """
    if config.data.folds and config.data.fold is None:
        raise InputError("`folds` stands for several runs; `fmnist.cross_validate` trains them, `fold=0` the first one")
    left, validation = _num_images(config, dataset)
    fraction = f"`validation_fraction={config.data.validation_fraction}`"
    if left < dataset.num_classes:
        raise InputError(
            f"`limit={config.data.limit}` and {fraction} leave {plural(left, 'training image')}; expected at least "
            f"one for each of the {dataset.num_classes} classes"
        )
    pretrained.check(config)
    if config.training.early_stopping and not validation:
        raise InputError(
            f"`early_stopping={config.training.early_stopping}` watches the validation loss, and {fraction} of "
            f"{left + validation} images leaves none to validate on; raise it, or leave `early_stopping` out"
        )


def _num_images(config: Config, dataset: Dataset) -> tuple[int, int]:
    """Return how many images there are to train on and to validate on."""
    train, validation = run_split(config.to_dict(), dataset.train_labels, dataset.num_validation)
    learnt, _ = decisions.read_decisions(config.data.decisions, dataset).obey(train, dataset.train_labels)
    return len(learnt), len(validation)


def _facts(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Return what `config.json` holds besides the settings."""
    train, validation = _num_images(config, dataset)
    return {
        "parameters": models.build(config.model, dataset.image_shape, dataset.num_classes).count_params(),
        "dataset": {
            "class_names": list(dataset.class_names),
            "image_shape": shape.stored(dataset.image_shape),
            "num_train": train,
            "num_validation": validation,
            "num_test": len(dataset.test_labels),
            **({"preparation": asdict(dataset.preparation)} if dataset.preparation else {}),
        },
    }


def _clear(run: RunDirectory) -> None:
    """Remove what an earlier run left here: the files a run has, nothing else.

    Raises:
        RunError: it cannot be removed. Then nothing may be trained here: a resume would find the old checkpoints.
    """
    try:
        for name, path in vars(run).items():
            if path.is_dir() and name != "path":
                shutil.rmtree(path)
            elif name != "path":
                path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove the earlier run in {run.path}: {error}") from error


def _mark_failed(run: RunDirectory, error: Exception) -> None:
    """Record the failure, if the disk still lets us; the error itself is what the user needs to hear."""
    try:
        state = "diverged" if isinstance(error, Diverged) else "failed"
        write_json(run.status, run.read_status() | {"state": state, "message": str(error)})
    except Exception:  # the first error is the one that is raised
        return
