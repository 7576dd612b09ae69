"""`fmnist data`: fetches the data set if need be, and describes it."""

import sys
from pathlib import Path
from typing import Any

import click

from fmnist.cli import data_import, options
from fmnist.cli.terminal import print_table, tell, width
from fmnist.data import shape
from fmnist.data.dataset import Dataset
from fmnist.data.inspection import inspect
from fmnist.errors import RunError

SAMPLES_PER_CLASS = 10
_BAR_WIDTH, _COLUMNS = 24, 32  # of the bars of the table of classes, and of what is beside names and bars


# A group, so that there can be commands below it; called without one, it describes the data set.
@options.command(
    "data",
    "fmnist data",
    "fmnist data --data-dir my-images --samples my-samples.png",
    cls=click.Group,
    invoke_without_command=True,
    subcommand_metavar="[import SOURCE]",
)
@options.data_dir_option
@click.option(
    "--samples",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("runs/samples.png"),
    show_default=True,
    help=f"Picture with {SAMPLES_PER_CLASS} training images of each class, drawn as PNG and SVG.",
)
@click.option("--no-samples", is_flag=True, help="Draw nothing.")
@click.pass_context
def command(context: click.Context, data_dir: Path | None, as_json: bool, samples: Path, no_samples: bool) -> None:
    """Fetch and check the data set, and tell what is in it.

    Without --data-dir this is the official Fashion-MNIST, fetched once and verified by checksum at each start.
    """
    if context.invoked_subcommand is not None:
        return
    dataset = options.load_data(data_dir)
    facts = inspect(dataset)
    drawn = [] if no_samples else _draw(dataset, samples)
    if as_json:
        options.print_json(facts | {"samples": [str(path) for path in drawn]})
    else:
        tell("\n".join([*_lines(facts), ""]))
        print_table(_balance(facts), left=2)
        if drawn:
            tell(f"\nSample sheet    {drawn[0]}")


def _lines(facts: dict[str, Any]) -> list[str]:
    train, test = facts["train"], facts["test"]
    pixels = f"{shape.told(shape.full(facts['image_shape']))}, {facts['dtype']}"
    other = train["duplicates_other_label"], test["duplicates_other_label"], facts["test_in_train_other_label"]
    own = facts["num_validation"]
    validation = f"{own:,} validation, " if own else ""
    rows = [
        ("source", facts["source"]),
        ("images", f"{train['num_images'] - own:,} training, {validation}{test['num_images']:,} test"),
        ("each image", f"{pixels}, {train['minimum']} to {train['maximum']}"),
        ("training mean", f"{train['mean']:.4f}, standard deviation {train['std']:.4f} (pixels scaled to 0..1)"),
        ("test mean", f"{test['mean']:.4f}, standard deviation {test['std']:.4f}"),
        ("exact copies", _three(train["duplicates"], test["duplicates"], facts["test_in_train"])),
        ("", f"with another label: {_three(*other)}"),
    ]
    lines = [f"{name:14}  {text}" for name, text in rows]
    lines += [f"{'sha256':14}  {digest[:16]}...  {name}" for name, digest in facts["sha256"].items()]
    return lines


def _three(train: int, test: int, across: int) -> str:
    return f"{train:,} inside training, {test:,} inside test, {across:,} test images also in training"


def _balance(facts: dict[str, Any]) -> list[list[str]]:
    """Return the table of classes, with a bar for each one's number of training images."""
    train, test = facts["train"]["class_counts"], facts["test"]["class_counts"]
    room = width(sys.stdout) - max(map(len, facts["class_names"])) - _COLUMNS
    table = [["label", "class", "training", "test", *[""] * (room > 0)]]
    for label, (name, here, there) in enumerate(zip(facts["class_names"], train, test, strict=True)):
        bar = "#" * round(min(_BAR_WIDTH, room) * here / max(train))
        table.append([f"{label:5}", name, f"{here:,}", f"{there:,}", *[bar] * (room > 0)])
    return table


def _draw(dataset: Dataset, path: Path) -> list[Path]:
    """Draw the first training images of each class and return the files written."""
    import numpy as np

    try:
        from fmnist.report.plots import sample_sheet
    except ModuleNotFoundError as error:
        raise RunError(
            f"the sample sheet needs '{error.name}', which is not installed; install it with: pip install "
            "'fmnist[train]', or leave it out with --no-samples"
        ) from error
    labels = dataset.train_labels
    rows = [np.flatnonzero(labels == label)[:SAMPLES_PER_CLASS] for label in range(dataset.num_classes)]
    chosen = np.concatenate(rows)
    title = f"The first {SAMPLES_PER_CLASS} training images of each class"
    return sample_sheet(dataset.train_images[chosen], labels[chosen], dataset.class_names, path, title)


command.add_command(data_import.command)
