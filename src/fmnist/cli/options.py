"""Holds the options that several commands share, and what makes commands, reads and prints for them."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import completion, terminal
from fmnist.cli.terminal import Bar, say
from fmnist.errors import InputError, RunError
from fmnist.run import schema
from fmnist.run.directory import RunDirectory, find_run
from fmnist.text import plain, size
from fmnist.track import SYSTEMS

if TYPE_CHECKING:
    from fmnist.data.dataset import Dataset

runs_dir_option = click.option(
    "--runs-dir",
    is_eager=True,  # `latest` is looked for there
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder in which the runs lie.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Pictures in class folders, or another form of docs/data.md [default: the run's own, or else $FMNIST_DATA, "
    "Fashion-MNIST from the cache, the system's package or a download].",
)
track_option = click.option(
    "--track",
    "systems",
    multiple=True,
    type=click.Choice([*SYSTEMS]),
    help="Send settings, epochs and results to this system as well; may be given more than once (docs/tracking.md).",
)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where several runs are carried out; the command gets the `runner` that they name."""

    @functools.wraps(function)
    def work(*arguments: Any, engine: str, gpus: int, engine_options: str, **own: Any) -> Any:
        from fmnist.study.engines import driver

        return function(*arguments, runner=driver.runner_on(engine, gpus=gpus, options=engine_options), **own)

    for option in (
        click.option("--engine-options", default="", metavar="TEXT", help='Passed on, as "--partition=gpu" to Slurm.'),
        click.option("--gpus", type=click.IntRange(0), default=0, help="GPUs of each run, on an engine."),
        click.option(
            "--engine",
            default="in-turn",
            show_default=True,
            metavar="ENGINE",
            help="Where runs are carried out: in-turn, processes, processes:N (N at once), ray, ray:ADDRESS or slurm.",
        ),
    ):
        work = option(work)
    return work


open_option = click.option("--open/--no-open", "show", default=False, help="Show the report in the web browser.")


def run_argument(name: str, **how: Any) -> Callable[..., Any]:
    """Return the argument that names a run, or something else as well; the shell completes it.

    Which run `latest` is, is said, and its path stands for it from then on.
    """
    return click.argument(name, shell_complete=completion.runs, callback=_found_latest, **how)


def _found_latest(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name != "latest" or context.resilient_parsing:
        return name
    run = find_run(name, context.params["runs_dir"])
    say(f"Run       {plain(str(run.path))}")
    return str(run.path)


def open_run(name: str, runs_dir: Path) -> RunDirectory:
    """Return the run that a path, a name or `latest` stands for, once its files are found to be in order.

    Raises:
        InputError: there is no such run, or its files are damaged.
    """
    return schema.check(find_run(name, runs_dir))


def command(
    name: str, *examples: str, cls: type[click.Command] = click.Command, **how: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Make a command with --json, --quiet and --verbose, whose help ends in examples."""
    epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)

    def make(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=cls, epilog=epilog, **how)(function)
        made.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object and nothing else."),
            _level_option("--quiet", "-q", terminal.QUIET, "Print only errors on stderr."),
            _level_option("--verbose", "-v", terminal.VERBOSE, "Print more on stderr."),
        ]
        return made

    return make


def _level_option(flag: str, short: str, level: int, text: str) -> click.Option:
    def choose(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
        if wanted:
            terminal.set_level(level)

    return click.Option([flag, short], is_flag=True, expose_value=False, callback=choose, is_eager=True, help=text)


@contextlib.contextmanager
def hold_or_read(run: RunDirectory) -> Iterator[RunError | None]:
    """Hold a run's lock for the block; where another process has it or nothing can be written, give that error."""
    with contextlib.ExitStack() as stack:
        refused = None
        try:
            stack.enter_context(run.lock())
        except RunError as error:
            refused = error
        yield refused


def run_command(name: str, *lines: str, reads: bool = False) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command about RUN of a function that takes the run, its data set, `as_json` and the command's own options.

    The run's files are in order, and its lock is held while the function works. A function that `reads` works without
    the lock too, and takes as `refused` the error for which it cannot be held, or None.
    """

    def make(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def work(run_name: str, runs_dir: Path, data_dir: Path | None, **own: Any) -> None:
            run = open_run(run_name, runs_dir)
            dataset = load_data(data_dir, run)
            terminal.detail(f"Data      {dataset.source}\nRun       {run.path}")
            with hold_or_read(run) as refused:
                if refused and not reads:
                    raise refused
                function(run, dataset, **own, **({"refused": refused} if reads else {}))

        for option in (data_dir_option, runs_dir_option, run_argument("run_name", metavar="RUN")):
            work = option(work)
        made: click.Command = command(name, *lines)(work)
        return made

    return make


def print_json(content: Any) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(content, indent=2, default=str, allow_nan=False))


def plain_name(name: str) -> str:
    """Return a name that `--name` gave to a run or a study.

    Raises:
        InputError: it is empty, has a slash in it, or stands for something else.
    """
    if name in ("", ".", "..", "latest") or Path(name).name != name:
        raise InputError(f"--name got '{name}'; expected a plain name without a slash, other than 'latest'")
    return name


@contextlib.contextmanager
def pictures_bar() -> Iterator[Callable[[int, int], None]]:
    """Give what moves a bar while pictures are imported."""
    bar = Bar(text="Pictures", delay=1)
    try:
        yield lambda done, total: bar.move(done, total=total, note=f"of {total:,}")
    finally:
        bar.close()


def load_data(data_dir: Path | None, run: RunDirectory | None = None) -> Dataset:
    """Load the data set, or that of a run, with a progress bar on stderr for each file that has to be fetched.

    What is made of it where it is no IDX files, and what is odd about its labels, is said.
    """
    from fmnist.images.loading import load, load_dataset

    bars: dict[str, Bar] = {}

    def show(received: int, total: int | None, label: str) -> None:
        if label not in bars:
            for bar in bars.values():
                bar.close()
            bars[label] = Bar(total, text=label)
            if total is None or not sys.stderr.isatty():
                say(f"Data      {label}")
        bars[label].move(received, total=total, note=size(received))

    try:
        with pictures_bar() as move:
            how: dict[str, Any] = {"progress": show, "pictures": move, "tell": say}
            dataset = load(run, data_dir, **how) if run else load_dataset(data_dir, **how)
    finally:
        for bar in bars.values():
            bar.close()
    for note in dataset.notes:
        say(f"Note      {note}")
    return dataset
