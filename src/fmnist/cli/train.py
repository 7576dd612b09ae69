"""`fmnist train`: trains, evaluates and reports, and shows how it goes."""

from __future__ import annotations

import datetime
import itertools
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist import track
from fmnist.cli import completion, options, processes, settings
from fmnist.cli.stop_signals import StopSignals
from fmnist.cli.terminal import say, tell
from fmnist.config import DEFAULT_PRESET, Config, preset, rung
from fmnist.errors import InputError
from fmnist.run import lock, results
from fmnist.run.directory import RunDirectory, runs_dir_flags
from fmnist.run.history import read_history
from fmnist.text import percent

if TYPE_CHECKING:
    from fmnist.study import Runner


@options.command(
    "train",
    "fmnist train",
    "fmnist train --preset reference --epochs 5 --name first",
    cls=settings.SettingsCommand,
    help="Train a model, evaluate it on the test set and write a report. The settings below replace the preset's.",
)
@click.option(
    "--preset",
    "preset_name",
    default=None,
    is_eager=True,  # help shows its values
    shell_complete=completion.presets,
    help=f"Network and recipe [default: {DEFAULT_PRESET}; with --data-dir what fits the pictures].",
)
@click.option(
    "--target",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="PERCENT",
    help="Take the quickest preset whose mean test accuracy on Fashion-MNIST reaches this.",
)
@click.option("--name", default=None, help="Name of the run [default: preset, date, number].")
@options.runs_dir_option
@options.data_dir_option
@click.option(
    "--resume", "resume_name", metavar="RUN", shell_complete=completion.runs, help="Continue an interrupted run."
)
@click.option("--overwrite", is_flag=True, help="Replace a run of the same name.")
@click.option("--train-only", is_flag=True, help="Stop after training: no evaluation, no report.")
@processes.distributed_option
@processes.processes_option
@options.track_option
@options.open_option
@options.engine_options
@settings.setting_options
def command(
    preset_name: str | None,
    target: float | None,
    name: str | None,
    runs_dir: Path,
    data_dir: Path | None,
    resume_name: str | None,
    overwrite: bool,
    train_only: bool,
    distributed: bool,
    num_processes: int | None,
    systems: tuple[str, ...],
    show: bool,
    as_json: bool,
    runner: Runner,
    **flags: Any,
) -> int:
    """Train, evaluate, report."""
    from fmnist.study import run_in_turn

    if show and train_only:
        raise click.UsageError("--open shows the report, and --train-only writes none")
    if target is not None:
        if preset_name or data_dir or resume_name:
            others = "--preset, --data-dir and --resume"
            raise click.UsageError(f"--target chooses a preset for Fashion-MNIST; leave out {others}")
        reached, preset_name, took = rung(target)
        say(f"Target    above {reached:g}% with preset {preset_name}; took {took}")
    given = {key: value for key, value in flags.items() if value is not None}
    settings.find_runs(given, runs_dir)
    config = preset(preset_name or DEFAULT_PRESET, **given)
    all_folds = config.data.folds > 0 and config.data.fold is None
    if all_folds and (show or train_only):
        raise click.UsageError("--folds trains several runs, without a report; leave out --open and --train-only")
    if all_folds and (distributed or num_processes):
        raise click.UsageError("--folds trains several runs; several processes train one, such as --fold 0")
    if not all_folds and runner is not run_in_turn:
        raise click.UsageError("--engine carries out several runs at once, and this is one; --folds makes several")
    first = not distributed or processes.join()
    if not first:
        runs_dir, resume_name = processes.scratch(runs_dir, resume_name)
    if resume_name is None:
        run = RunDirectory(_path(runs_dir, name, config))
    elif given or name or overwrite:
        raise InputError("--resume continues with the run's own settings; leave out the other settings")
    else:
        run = options.open_run(resume_name, runs_dir)
        systems = systems or tuple(track.tracked_by(run))
    systems = systems if first else ()
    track.check(systems)
    lock.check_free(run.path)
    if num_processes and not distributed:
        return processes.start(num_processes, click.get_current_context().meta[settings.ARGUMENTS])
    with StopSignals() as stop:
        from fmnist import backend, pipeline

        # Before anything slow; training checks again, under its lock.
        if resume_name is not None:
            pipeline.check_resumable(run, train_only)
        elif not all_folds:
            pipeline.check_place(run, overwrite)
        dataset = options.load_data(data_dir, run if resume_name else None)
        say(f"Data      {dataset.source}")
        if resume_name is None and preset_name is None and dataset.folder:
            from fmnist.models.pretrained import preset_for

            config, reason = preset_for(dataset, **given)
            run = RunDirectory(_path(runs_dir, name, config))
            say(f"Preset    {reason}")
        if all_folds:
            from fmnist.cli import folds

            backend.prepare()
            how: dict[str, Any] = {"should_stop": stop, "overwrite": overwrite, "runner": runner}
            if folds.train(config, dataset, run.path, systems, as_json=as_json, **how):
                return 0
            return 128 + (stop.received or signal.SIGINT)
        say(f"Run       {run.path}")

        from fmnist.cli.progress import ProgressBar
        from fmnist.training.progress import Interrupted, Watchers

        watcher = ProgressBar()
        try:
            with track.Tracking(systems, watcher.note) as tracking:
                watchers = Watchers(watcher, tracking.watch(run))
                how = {"watcher": watchers, "should_stop": stop, "train_only": train_only}
                backend.prepare(lean=True)
                if resume_name is None:
                    pipeline.train(config, dataset, run, overwrite=overwrite, **how)
                else:
                    pipeline.resume(run, dataset, **how)
                if not train_only:
                    tracking.export(run, dataset)
        except Interrupted:
            watcher.close()
            say(f"Saved; continue with: {run.command('train --resume')}")
            return 128 + (stop.received or signal.SIGINT)
        finally:
            watcher.close()
    if not first:
        return 0
    where = itertools.chain.from_iterable(runs_dir_flags(runs_dir))
    _print_result(run, [str(run.path)] if resume_name else ["latest", *where], as_json)
    if show:
        click.launch(str(run.report))
    return 0


def _path(runs_dir: Path, name: str | None, config: Config) -> Path:
    """Return the run's path; without a name it is the preset, today's date and the first free number.

    That of all folds is the preset and their number, so that the same command goes on with them.
    """
    if name is not None:
        return runs_dir / options.plain_name(name)
    if config.data.folds and config.data.fold is None:
        return runs_dir / f"{config.preset}-{config.data.folds}-folds"
    stem = f"{config.preset}-{datetime.date.today().isoformat()}"
    return next(path for n in range(1, 1_000_000) if not (path := runs_dir / f"{stem}-{n}").exists())


def _print_result(run: RunDirectory, words: list[str], as_json: bool) -> None:
    """Print what came out and what to do next; `words` are those by which the next commands find the run."""
    last, status = read_history(run.history)[-1], run.read_status()
    result, diagnosis = results.metrics(run), results.diagnosis(run)
    report = run.report if run.report.is_file() else None
    if as_json:
        told = {"verdict": diagnosis["verdict"], "headline": diagnosis["sentences"][0]} if diagnosis else None
        options.print_json(
            {
                "run": str(run.path),
                "state": status["state"],
                "seconds": status["seconds"],
                "last_epoch": last,
                "model_epoch": status["model_epoch"],
                "diagnosis": told,
                "test": {key: result[key] for key in ("accuracy", "loss", "accuracy_interval")} if result else None,
                "report": report and str(report),
            }
        )
        return
    if diagnosis:
        tell(f"Verdict        {diagnosis['sentences'][0]}")
    if result:
        low, high = result["accuracy_interval"]
        span = f"(95% interval {percent(low, 2)} to {percent(high, 2)}), loss {result['loss']:.4f}"
        accuracy = f"{percent(result['accuracy'], 2)} of {result['num_images']:,} images"
        tell(f"Test accuracy  {accuracy} {span}")
    tell(f"Report         {report}" if report else f"Model          {run.model}")
    tell(f"Next           {shlex.join(['fmnist', 'diagnose', *words])}")
    tell(f"               {shlex.join(['fmnist', 'predict', words[0], 'photo.jpg', *words[1:]])}")
