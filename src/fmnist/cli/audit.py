"""`fmnist audit`: finds what is odd in a data set, and fills in decisions about it."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import click

from fmnist.cli import completion, options
from fmnist.cli.stop_signals import StopSignals
from fmnist.cli.terminal import print_table, say, tell
from fmnist.config import preset
from fmnist.run import lock
from fmnist.text import percent, plural

PRESET = "fast"


class _Kind(click.ParamType):
    """A kind of finding, and how many of it: `label=100`, or `copy` for all."""

    name = "KIND[=N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        kind, equals, count = str(value).partition("=")
        if equals and not (count.isdecimal() and 0 < len(count) < 10):
            self.fail(f"got '{str(value)[:40]}', expected a kind and how many, such as label=100", param, ctx)
        return kind, int(count) if equals else None


@options.command("audit", "fmnist audit", "fmnist audit --data-dir my-data --drop copy --relabel label=20")
@options.data_dir_option
@click.option(
    "--preset",
    "preset_name",
    default=PRESET,
    show_default=True,
    shell_complete=completion.presets,
    help="Network and recipe of the folds; few images get more epochs.",
)
@click.option("--folds", type=click.IntRange(2, 100), default=5, show_default=True, help="Networks to train.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Decides the folds.")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for table and page [default: audits/NAME, after the data].",
)
@click.option("--overwrite", is_flag=True, help="Replace an audit of other data or with other settings.")
@click.option(
    "--drop",
    type=_Kind(),
    multiple=True,
    help="Decide: leave the first N training images of a kind out of training, or all. Kinds: label, copy, near-copy, "
    "outlier, blank, brightness.",
)
@click.option(
    "--relabel",
    type=_Kind(),
    multiple=True,
    help="Decide: the first N training images of the kind label learn the class that the networks think of.",
)
@click.option("--open/--no-open", "show", default=False, help="Show the page in the web browser.")
def command(
    data_dir: Path | None,
    preset_name: str,
    folds: int,
    seed: int,
    folder: Path | None,
    overwrite: bool,
    drop: tuple[tuple[str, int | None], ...],
    relabel: tuple[tuple[str, int | None], ...],
    show: bool,
    as_json: bool,
) -> int:
    """Find images whose label looks wrong, copies, outliers and blank images.

    Networks that did not learn from an image say which class they think it has. What is found goes into a page to look
    at and a table, audit.csv, with a column for decisions: keep, relabel or drop. The data stays as it is; `fmnist
    train --decisions audit.csv` obeys. About an audit that is there, --out FOLDER with --drop or --relabel only
    decides, without looking at the data.
    """
    from fmnist import audit
    from fmnist.audit import table

    folder = (
        folder or Path("audits") / Path(data_dir or os.environ.get("FMNIST_DATA") or "fashion-mnist").resolve().name
    )
    result = audit.finished(folder) if (drop or relabel) and data_dir is None else {}
    if not result:
        lock.check_free(folder)
        with StopSignals() as stop:
            dataset = options.load_data(data_dir)
            say(f"Data      {dataset.source}")

            from fmnist import backend
            from fmnist.cli.audit_progress import FoldBar
            from fmnist.training.progress import Interrupted

            watcher = FoldBar()
            how: dict[str, Any] = {"watcher": watcher, "should_stop": stop, "overwrite": overwrite}
            try:
                backend.prepare(lean=True)
                result = audit.audit_dataset(preset(preset_name, seed=seed), dataset, folder, num_folds=folds, **how)
            except Interrupted:
                watcher.close()
                say("Stopped; the same command goes on after the last whole fold")
                return 128 + (stop.received or signal.SIGINT)
            finally:
                watcher.close()
    paths = [folder / name for name in (audit.PAGE, audit.TABLE)]
    decided = {
        decision: sum(table.decide(paths[1], decision, *kind) for kind in kinds)
        for decision, kinds in (("drop", drop), ("relabel", relabel))
    }
    if as_json:
        shown = {key: value for key, value in result.items() if key not in ("state", "made_of", "environment")}
        options.print_json(shown | {"decided": decided} | {path.suffix[1:]: str(path) for path in paths})
    else:
        _print_result(result, decided, folder)
    if show:
        click.launch(str(paths[0]))
    return 0


def _print_result(result: dict[str, Any], decided: dict[str, int], folder: Path) -> None:
    from fmnist.audit import PAGE, TABLE
    from fmnist.audit.findings import KINDS
    from fmnist.audit.page import train_command

    rows = [["found", "training", "test"]]
    for kind, about in KINDS.items():
        rows.append([about.title, *(f"{result['found'][kind][part]:,}" for part in ("train", "test"))])
    print_table(rows)
    agreed = percent(result["agreement"])
    tell(f"\nNetworks that did not learn from an image give its label to {agreed} of the training images.\n")
    for decision, count in decided.items():
        if count:
            tell(f"Decided  {plural(count, 'image')} more to {decision}")
    tell(f"Page     {folder / PAGE}")
    tell(f"Table    {folder / TABLE}")
    decide = (
        [] if any(decided.values()) else [f"{shlex.join(['fmnist', 'audit', '--out', str(folder)])} --drop label=100"]
    )
    for number, line in enumerate([*decide, train_command(result, folder / TABLE)]):
        tell(f"{'' if number else 'Next':9}{line}")
