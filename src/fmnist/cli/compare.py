"""`fmnist compare`: carries out a study and shows how it goes."""

from __future__ import annotations

import dataclasses
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist import track
from fmnist.cli import completion, options, settings
from fmnist.cli.stop_signals import StopSignals
from fmnist.cli.terminal import print_table, say, tell
from fmnist.errors import InputError
from fmnist.run import lock
from fmnist.run.directory import RunDirectory
from fmnist.text import duration, plural

if TYPE_CHECKING:
    from fmnist.study import Runner


class _Seeds(click.ParamType):
    """How many seeds, or which: `5` stands for 0 to 4, `3,7,11` for these."""

    name = "N or N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        from fmnist.study.definition import MAX_SEEDS

        known = re.fullmatch(r"\d{1,10}(,\d{1,10})*", str(value))
        numbers = tuple(int(part) for part in value.split(",")) if known else ()
        if len(numbers) > 1:
            return numbers
        if not numbers or not 1 <= numbers[0] <= MAX_SEEDS:
            expected = f"how many seeds (1 to {MAX_SEEDS}), or a list of them such as 3,7,11"
            self.fail(f"got '{str(value)[:40]}', expected {expected}", param, ctx)
        return tuple(range(numbers[0]))


@options.command(
    "compare", "fmnist compare remedies", "fmnist compare my.yaml --seeds 5 --dry-run", cls=settings.SettingsCommand
)
@click.argument("study_name", metavar="STUDY", shell_complete=completion.studies)
@click.option("--name", default=None, help="Name of the study's folder [default: the study's name].")
@click.option("--seeds", type=_Seeds(), default=None, help="How many seeds (from 0 on), or which: 5, or 3,7,11.")
@click.option("--dry-run", is_flag=True, help="Show the runs and how long they will take; train nothing.")
@click.option("--overwrite", is_flag=True, help="Replace runs that were made with other settings or other data.")
@options.track_option
@options.runs_dir_option
@options.data_dir_option
@options.engine_options
@settings.setting_options
def command(
    study_name: str,
    name: str | None,
    seeds: tuple[int, ...] | None,
    dry_run: bool,
    overwrite: bool,
    systems: tuple[str, ...],
    runs_dir: Path,
    data_dir: Path | None,
    as_json: bool,
    runner: Runner,
    **flags: Any,
) -> int:
    """Train a baseline and its variants with the same seeds, and say what each variant changes.

    STUDY is remedies, kernels, augmentation, robustness, transfer, or a YAML file of your own. The settings below
    replace the baseline's; a variant keeps the settings that it names. After a stop or a kill, the same command
    continues.
    """
    from fmnist import study as studies

    given = {key: value for key, value in flags.items() if value is not None}
    settings.find_runs(given, runs_dir)
    if "seed" in given:
        raise InputError("--seed is for one run; a study takes --seeds 5, or --seeds 3,7,11")
    study = studies.read_study(study_name).changed(given, seeds)
    study = dataclasses.replace(study, name=options.plain_name(name or study.name))
    folder = runs_dir / study.name
    track.check(systems)
    if not dry_run:
        lock.check_free(folder)
    with StopSignals() as stop:
        dataset = options.load_data(data_dir)
        say(f"Data      {dataset.source}")
        say(f"Study     {folder}: {len(study.names())} variants × {len(study.seeds)} seeds")

        from fmnist import backend

        backend.prepare()
        from fmnist.cli.study_progress import StudyProgress
        from fmnist.track.studies import TrackedStudy
        from fmnist.training.progress import Interrupted

        watcher = StudyProgress()
        try:
            if dry_run:
                jobs, stale = studies.plan(study, dataset, folder)
                expected = studies.forecast(jobs, dataset, tell=watcher.note, should_stop=stop)
                _print_plan(jobs, stale, expected, as_json)
                return 0
            with track.Tracking(systems, watcher.note) as tracking:
                tracked = TrackedStudy(tracking, folder, watcher)
                how: dict[str, Any] = {"watcher": tracked, "should_stop": stop, "overwrite": overwrite}
                result = studies.compare(study, dataset, folder, runner=runner, **how)
        except Interrupted:
            watcher.close()
            say(f"Stopped; the same command continues {folder}")
            return 128 + (stop.received or signal.SIGINT)
        finally:
            watcher.close()
    if as_json:
        options.print_json(result)
    else:
        _print_result(result)
        tell(f"\nTable   {folder / studies.TABLE}\nReport  {RunDirectory(folder).report}")
    return 0


def _print_result(result: dict[str, Any]) -> None:
    from fmnist.study import tables, words

    heading = f"Study {result['name']}: {result['description']}".rstrip(": ")
    tell(f"{heading}\n\n{words.setup(result)}")
    for title, table in tables.titled(result):
        tell(f"\n{title}\n")
        print_table(table)
    tell("\n".join(["", *(f"- {row['sentence']}" for row in result["variants"])]))


def _print_plan(jobs: list[Any], stale: dict[Any, str], expected: list[Any], as_json: bool) -> None:
    """Print every run, whether it is done, and the seconds that it is thought to take."""
    from fmnist.study import is_done, total

    seconds, low, high = total(expected)
    waiting = dict(zip([run for run, _ in jobs if not is_done(run)], [one.seconds for one in expected], strict=True))
    states = {run: "stale" if run in stale else run.state() for run, _ in jobs}
    if as_json:
        rows = [
            {"run": str(run.path), "state": state, "stale": stale.get(run), "seconds": waiting.get(run)}
            for run, state in states.items()
        ]
        options.print_json({"runs": rows, "seconds": seconds, "range": [low, high]})
        return
    notes = {run: f"about {duration(waiting[run])}" if run in waiting else "" for run in states} | stale
    print_table([["run", "state", ""], *([run.name, state, notes[run]] for run, state in states.items())], left=3)
    if stale:
        tell(f"\n{plural(len(stale), 'stale run')}: --name NAME uses another folder, --overwrite replaces them")
    span = f"{duration(seconds)}, {duration(low)} to {duration(high)}"
    tell(f"\n{len(expected)} of {plural(len(jobs), 'run')} to go: {span}")
