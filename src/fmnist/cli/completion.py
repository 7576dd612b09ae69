"""Completes names on the command line: runs, models, presets, studies and export formats. Loads nothing heavy."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from fmnist.config import PRESETS
from fmnist.run.directory import SWEEP_FILE, list_runs

_FILES = "file"  # click's word that lets the shell complete files as well


def runs(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the runs in the folder, the newest first, and `latest`; files where none fits."""
    found = list_runs(Path(context.params.get("runs_dir") or "runs"))
    names = ["latest", *(run.name for run in reversed(found))] if found else []
    return [CompletionItem(start, type=_FILES), *_fitting(names, start)]


def presets(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the presets, with what each of them is."""
    return [CompletionItem(name, help=text) for name, (text, _) in PRESETS.items() if name.startswith(start)]


def studies(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the studies that come with the package; files where none fits."""
    from fmnist.study.definition import builtin_studies

    return [CompletionItem(start, type=_FILES), *_fitting(list(builtin_studies()), start)]


def sweeps(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the sweeps in the folder of runs; files where none fits."""
    folder = Path(context.params.get("runs_dir") or "runs")
    names = [path.parent.name for path in sorted(folder.glob(f"*/{SWEEP_FILE}"))]
    return [CompletionItem(start, type=_FILES), *_fitting(names, start)]


def formats(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the export formats, after those that are there already, with commas between them."""
    from fmnist.export.formats import FORMATS

    before, comma = start.rpartition(",")[:2]
    return _fitting([before + comma + name for name in FORMATS if name not in before.split(",")], start)


def _fitting(names: list[str], start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(start)]
