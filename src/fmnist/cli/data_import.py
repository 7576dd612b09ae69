"""`fmnist data import`: makes a data set of pictures in any common form."""

import re
import shlex
from pathlib import Path
from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import say, tell


class _Size(click.ParamType):
    """A side in pixels, or height and width: `28` or `32x24`."""

    name = "N or HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(re.fullmatch(r"\d{1,4}", part) and 1 <= int(part) <= 1024 for part in parts):
            self.fail(
                f"got '{str(value)[:40]}', expected a side such as 28, or height and width such as 32x24, up to 1024"
            )
        return int(parts[0]), int(parts[-1])


@options.command(
    "import",
    "fmnist data import my-pictures --out my-data",
    "fmnist data import shoes.zip --out shoes-28 --photos --strict",
    short_help="Make a data set from pictures of your own.",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", "target", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--size",
    "image_shape",
    type=_Size(),
    help="Pixels of every picture [default: as they are if all have one size of at most 64x64, else 28].",
)
@click.option(
    "--colour/--grey", default=None, help="Keep colours, or make all grey [default: kept if any picture has some]."
)
@click.option("--photos", is_flag=True, help="Make each picture as `fmnist predict` does from a photo.")
@click.option(
    "--invert/--no-invert", default=None, help="Negate the pictures [default: if grey, and most have a light border]."
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of each class that is kept for the test.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides split and order.")
@click.option("--strict", is_flag=True, help="Refuse all of it if a picture cannot be read.")
@click.option("--image-column", help="Of a table: the pictures, or their files [default: guessed].")
@click.option("--label-column", help="Of a table: the classes, by name or number [default: guessed].")
@click.option("--split-column", help="Of a table: train, val or test [default: guessed].")
@click.option(
    "--channels", type=click.Choice(["first", "last"]), help="Of arrays: where the colours lie [default: guessed]."
)
@click.option(
    "--white",
    type=click.FloatRange(0, min_open=True),
    help="Of arrays: the value that is white [default: 1 for fractions up to 1, else 255].",
)
def command(source: Path, target: Path, as_json: bool, **settings: Any) -> None:
    """Make a data set of SOURCE: a folder with a sub-folder of pictures for each class, named like it; or a CSV, NPZ
    or Parquet file, a folder of .npy files, or a .zip or .tar of any of these.

    If SOURCE holds train, test and, perhaps, val, that split is kept. What has to be guessed is told; docs/data.md
    lists all forms.

    Writes four IDX files and classes.txt, which every command takes with --data-dir. Pictures are shrunk to fit, as a
    whole; with --photos, the object is cut out, centred and put on black, for pictures that are photos. They keep their
    colours if any picture has some. A picture that cannot be read is named and left out.
    """
    from fmnist.data import shape
    from fmnist.images.importing import import_data, told

    with options.pictures_bar() as move:
        facts = import_data(source, target, progress=move, **settings)
    for line in told(facts):
        say(line)
    if as_json:
        options.print_json(facts)
        return
    left_out = f", {len(facts['unreadable']):,} left out" if facts["unreadable"] else ""
    tell(f"Data set   {facts['folder']}")
    tell(f"Form       {facts['form']}")
    validation = f"{facts['val']:,} validation, " if facts["val"] else ""
    tell(f"Pictures   {facts['train']:,} training, {validation}{facts['test']:,} test{left_out}")
    if parts := facts["parts"]:
        test = " and ".join(parts["test"]) or "a share of them"
        validation = f"{' and '.join(parts['val'])} for validation, " if parts["val"] else ""
        tell(f"Split      {' and '.join(parts['train'])} for training, {validation}{test} for the test, as it came")
    tell(f"Each one   {shape.told(shape.full(facts['image_shape']))}, {_ground(facts)}")
    tell(f"Classes    {len(facts['class_names'])}: {', '.join(facts['class_names'])}")
    tell(f"\nNext: fmnist train --data-dir {shlex.quote(str(facts['folder']))}")


def _ground(facts: dict[str, Any]) -> str:
    if len(facts["image_shape"]) == 3:
        return "each object on black (--grey)" if facts["inverted"] is None else "as they are (--grey)"
    if facts["inverted"] is None:
        return "each object light on black"
    return "negated, so that the background is dark (--no-invert)" if facts["inverted"] else "not negated (--invert)"
