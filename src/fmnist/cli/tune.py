"""`fmnist tune`: searches for good settings and shows how it goes."""

import dataclasses
import functools
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fmnist.cli import completion, options, settings
from fmnist.cli.stop_signals import StopSignals
from fmnist.cli.terminal import print_table, say, tell
from fmnist.config import DEFAULT_PRESET
from fmnist.run import lock
from fmnist.run.directory import RunDirectory
from fmnist.text import duration, plural


@options.command(
    "tune", "fmnist tune first --preset fast --trials 30", "fmnist tune mine.yaml --time-budget 2h",
    cls=settings.SettingsCommand,
)  # fmt: skip
@click.argument("sweep_name", metavar="SWEEP", shell_complete=completion.sweeps)
@click.option(
    "--preset",
    "preset_name",
    default=None,
    is_eager=True,  # help shows its values
    shell_complete=completion.presets,
    help=f"Network and recipe that all trials start from [default: the file's, or {DEFAULT_PRESET}].",
)
@click.option("--name", default=None, help="Name of the sweep's folder [default: the sweep's name].")
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=None,
    help="How many trials in all [default: 20; with --time-budget as many as there is time for].",
)
@click.option(
    "--time-budget",
    "sweep_seconds",
    type=settings.Seconds(),
    default=None,
    help="Time for all trials together (90m, 2h); a trial that would end later is not begun.",
)
@click.option(
    "--storage",
    metavar="URL",
    default=None,
    help="Database for Optuna's records, such as postgresql://user@host/name [default: a file in the sweep's folder].",
)
@click.option("--dry-run", is_flag=True, help="Show what is searched and how long it will take; train nothing.")
@options.runs_dir_option
@options.data_dir_option
@options.engine_options
@click.option(
    "--at-once", type=click.IntRange(1), default=1, show_default=True, help="Trials given to an engine at once."
)
@functools.partial(settings.setting_options, without=("time_budget", "folds", "fold"))
def command(
    sweep_name: str,
    preset_name: str | None,
    name: str | None,
    trials: int | None,
    sweep_seconds: float | None,
    storage: str | None,
    dry_run: bool,
    runs_dir: Path,
    data_dir: Path | None,
    as_json: bool,
    runner: Any,
    at_once: int,
    **flags: Any,
) -> int:
    """Search for the settings with the lowest validation loss, trial by trial.

    SWEEP is a YAML file that names what is searched, or a name: then the learning rate, the batch size, dropout, label
    smoothing, weight decay and three augmentations are. The settings below are fixed and not searched. After a stop or
    a kill, the same command continues. The test set is read once, for the best trial.
    """
    from fmnist.study import TABLE, tuning
    from fmnist.study.tuning import result

    given = {key: value for key, value in flags.items() if value is not None}
    settings.find_runs(given, runs_dir)
    tuning.check_installed()
    sweep = tuning.read_sweep(sweep_name)
    if preset_name:
        sweep = dataclasses.replace(sweep, preset=preset_name)
    sweep = sweep.changed(given)
    folder = runs_dir / options.plain_name(name or sweep.name)
    if not dry_run:
        lock.check_free(folder)
    with StopSignals() as stop:
        dataset = options.load_data(data_dir)
        say(f"Data      {dataset.source}")
        say(f"Sweep     {folder}: {', '.join(sweep.space())}")

        from fmnist import backend

        backend.prepare()
        from fmnist.cli.sweep_progress import SweepProgress
        from fmnist.training.progress import Interrupted

        watcher = SweepProgress()
        how: dict[str, Any] = {"trials": trials, "time_budget": sweep_seconds, "storage": storage}
        how |= {"runner": runner, "at_once": at_once}
        try:
            if dry_run:
                tuning.check(sweep, dataset, folder)
                numbers = range(tuning.planned(trials, sweep_seconds))
                _, found = tuning.forecasts(
                    sweep, dataset, folder, numbers, sweep_seconds, note=watcher.note, should_stop=stop
                )
                _print_plan(sweep, found, as_json)
                return 0
            told = tuning.tune(sweep, dataset, folder, watcher=watcher, should_stop=stop, **how)
        except Interrupted:
            watcher.close()
            say(f"Stopped; the same command continues {folder}")
            return 128 + (stop.received or signal.SIGINT)
        finally:
            watcher.close()
    if as_json:
        options.print_json(told)
        return 0
    print_table(result.table(told), left=1)
    tell(f"\n{result.counts(told)}.\n{result.sentence(told)}\n\n{told['best']['command']}")
    tell(f"\nTable   {folder / TABLE}\nReport  {RunDirectory(folder).report}")
    return 0


def _print_plan(sweep: Any, found: Sequence[Any], as_json: bool) -> None:
    """Print what is searched, how many trials there will be, and the time that they take if none is stopped early."""
    from fmnist.config import leaves
    from fmnist.study import total
    from fmnist.study.tuning import result
    from fmnist.study.tuning.sweep import spelled

    space, own = spelled(sweep.space()), leaves(sweep.base())
    seconds, low, high = total(found)
    if as_json:
        options.print_json({"space": space, "trials": len(found), "seconds": seconds, "range": [low, high]})
        return
    rows = [["setting", "searched", "preset's own"]]
    rows += [[name, result.where(search), result.told(own[name])] for name, search in space.items()]
    print_table(rows, left=3)
    span = f"{duration(seconds)}, {duration(low)} to {duration(high)}"
    tell(f"\n{plural(len(found), 'trial')}: {span}, and less where trials are stopped early")
