"""Holds the options that several commands share, the flags of the settings, and what reads and prints for them."""

import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fmnist.cli.terminal import Bar, say
from fmnist.config import kinds, leaf_fields, leaf_type
from fmnist.data import Dataset, load_dataset
from fmnist.errors import InputError
from fmnist.run import schema
from fmnist.run.directory import RunDirectory, find_run, find_run_or_file
from fmnist.text import size

runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder in which the runs lie.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the four IDX files [default: $FMNIST_DATA, the cache, the system's package, a download].",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def open_run(name: str, runs_dir: Path) -> RunDirectory:
    """Return the run that a path, a name or `latest` stands for, once its files are found to be in order.

    Raises:
        InputError: there is no such run, or its files are damaged.
    """
    return schema.check(find_run(name, runs_dir))


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: its examples, unwrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def run_command(name: str, *lines: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command about RUN of a function that takes the run, its data set, `as_json` and the command's own options.

    The run's files are in order, and its lock is held while the function works.
    """

    def make(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def work(run_name: str, runs_dir: Path, data_dir: Path | None, **own: Any) -> None:
            run, dataset = open_run(run_name, runs_dir), load_data(data_dir)
            with run.lock():
                function(run, dataset, **own)

        for option in (json_option, data_dir_option, runs_dir_option, click.argument("run_name", metavar="RUN")):
            work = option(work)
        return click.command(name, epilog=examples(*lines))(work)

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


def load_data(data_dir: Path | None) -> Dataset:
    """Load the data set, with a progress bar on stderr for each file that has to be fetched."""
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
        return load_dataset(data_dir, progress=show)
    finally:
        for bar in bars.values():
            bar.close()


class _Numbers(click.ParamType):
    """Numbers with commas between them, such as `32,64,128`; where `single` is set, one alone stays a number."""

    name = "N,N,…"

    def __init__(self, kind: type, single: bool) -> None:
        self.kind, self.single = kind, single

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            whole, example = ("whole ", "32,64,128") if self.kind is int else ("", "0.1,0.2,0.3")
            self.fail(f"got '{value}', expected {whole}numbers with commas between them, such as {example}", param, ctx)
        return numbers[0] if self.single and len(numbers) == 1 else numbers


class _Seconds(click.ParamType):
    """A length of time: `90`, `90s`, `10m`, `1h30m`; seconds where no unit is given."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value).strip())
        if not match or not any(match.groups()):
            self.fail(f"got '{value}', expected a time such as 90s, 10m or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return 3600 * hours + 60 * minutes + seconds


def setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each setting of the config tree, e.g. `--batch-size`; all default to None: the preset's value."""
    for name, (_, spec) in reversed(leaf_fields().items()):
        single, item = kinds(leaf_type(name))
        flag, text = "--" + name.replace("_", "-"), spec.metadata["help"]
        if bool in single:
            option = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
        elif name == "time_budget":
            option = click.option(flag, name, type=_Seconds(), default=None, help=text)
        elif item is not None:
            option = click.option(flag, name, type=_Numbers(item, bool(single)), default=None, help=text)
        else:
            kind = click.Choice(choices) if (choices := spec.metadata["choices"]) else single[0]
            option = click.option(flag, name, type=kind, default=None, help=text)
        function = option(function)
    return function


def find_runs(given: dict[str, Any], runs_dir: Path) -> None:
    """Let a run's name, or `latest`, in the settings `initial_weights` and `teacher` become its path.

    Raises:
        InputError: there is no such run.
    """
    for name in ("initial_weights", "teacher"):
        if name in given:
            found = (find_run_or_file if name == "teacher" else find_run)(given[name], runs_dir)
            given[name] = str(found if isinstance(found, Path) else found.path)
