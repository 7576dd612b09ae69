"""`fmnist predict`: names the classes of pictures."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import Bar, csv_cell, detail, say, width
from fmnist.errors import InputError, listed
from fmnist.run.directory import find_run
from fmnist.text import percent, plain, plural

if TYPE_CHECKING:
    from fmnist.predictor.prediction import Prediction

_SHARE_WIDTH, _SHORTEST = 10, 12  # columns of a probability with its gaps; of the shortest name of a file
_ORIGINAL = 256  # pixels of a picture that is drawn beside what the model saw


@options.command("predict", "fmnist predict latest shoe.jpg", "fmnist predict model.tflite photos/ --csv > answers.csv")
@options.run_argument("model")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path())
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name, best first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header.")
@click.option(
    "--show",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a PNG of the first 500 pictures, each beside what the model saw of it.",
)
@click.option("--strict", is_flag=True, help="Answer nothing if a picture cannot be read.")
@options.runs_dir_option
def command(
    model: str,
    images: tuple[str, ...],
    top: int,
    as_json: bool,
    as_csv: bool,
    show: Path | None,
    strict: bool,
    runs_dir: Path,
) -> None:
    """Say what MODEL sees in each IMAGE.

    MODEL is a run (a path, a name or `latest`), a file (.tflite, .onnx or .keras), or hf://OWNER/NAME. A run answers
    through its LiteRT export, if it has one, and needs no TensorFlow then.

    \b
    IMAGE is any number of
      pictures          PNG, JPEG, WebP, GIF, BMP, TIFF, PPM; of several frames the first
      folders           for the pictures in them and below
      'patterns*.png'   in quotes, or left to the shell
      IDX files         gzipped or not, and .npy arrays, uint8 (N, H, W), in colour (N, H, W, 3)
      -                 one of these on stdin

    A photo is made like the training pictures: turned upright, the object cut out of its background, shrunk, centred,
    light on black. Pictures of the model's own size are taken as they are, and so are arrays.

    A picture unlike all that the model was trained on is called unfamiliar; its unfamiliarity in --json and --csv is
    then above 1. What there is to doubt about the cut-out is told too: no object found, little contrast, several
    objects, fills the frame, uneven ground, looks negated.

    What cannot be read is named on stderr and left out. The exit code is 2 if nothing could be read, or if --strict is
    given and anything could not.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from fmnist.predictor.readers import Readers

    readers = Readers()
    readers.start()  # while all else is imported and the model is opened
    from fmnist.predictor.opening import open_model
    from fmnist.predictor.predictor import UNTOLD

    predictor = open_model(model, runs_dir)
    detail(f"Model     answers through {predictor.format}")
    if predictor.format == "keras" and not Path(model).is_file():
        say(f"Hint      `{find_run(model, runs_dir).command('export')}` makes this start in under a second")
    bar = Bar(text="Files", delay=1)
    try:
        found, unreadable = predictor.read_and_predict(
            images,
            stdin=getattr(sys.stdin, "buffer", None),  # there is no stdin after `<&-`
            progress=lambda done, total: bar.move(done, total=total, note=f"{done:,} of {total:,}"),
            readers=readers,
        )
    finally:
        bar.close()
    if unreadable and (strict or not found):
        nothing = "these cannot be read, and --strict wants all" if found else "no picture could be read"
        raise InputError(listed(nothing, [*map(plain, unreadable.values())]))
    for problem in unreadable.values():
        say(f"Left out  {plain(problem)}", "yellow")
    if predictor.threshold is None:
        say(UNTOLD)
    if show:
        _show(show, found)
    rows = [_row(one, top) for one in found]
    if as_json:
        told = [{"image": name, "problem": problem} for name, problem in unreadable.items()]
        options.print_json({"model": model, "format": predictor.format, "predictions": rows, "unreadable": told})
    elif as_csv:
        _print_csv(rows)
    else:
        _print(rows)


def _row(found: Prediction, top: int) -> dict[str, Any]:
    """Return what is told of a picture: `unfamiliarity` and `familiar` where the model can tell, and the doubts."""
    best = [{"class": name, "label": label, "probability": share} for label, name, share in found.top(top)]
    known = {} if found.familiar is None else {"unfamiliarity": found.unfamiliarity, "familiar": found.familiar}
    return {"image": found.image, "index": found.index, "top": best, **known, "doubts": found.doubts}


def _label(row: dict[str, Any]) -> str:
    """Return what a line calls a picture."""
    name = plain(row["image"])
    return name if row["index"] is None else f"{name}[{row['index']}]"


def _print(rows: list[dict[str, Any]]) -> None:
    """Print a line a picture; on a narrow terminal, more lines and the end of a long name."""
    from fmnist.images.cutout import NOTHING

    columns = width(sys.stdout)
    rows = [row | {"top": [guess | {"class": plain(guess["class"])} for guess in row["top"]]} for row in rows]
    name_width = max(len(guess["class"]) for row in rows for guess in row["top"])
    labels = [_label(row) for row in rows]
    room = min(max(map(len, labels)), max(_SHORTEST, columns - name_width - _SHARE_WIDTH))
    each = max(1, (columns - room) // (name_width + _SHARE_WIDTH))
    for label, row in zip(labels, rows, strict=True):
        cells = [f"   {guess['class']:{name_width}} {percent(guess['probability']):>6}" for guess in row["top"]]
        warnings = [*([] if row.get("familiar", True) else ["unfamiliar"]), *row["doubts"]]
        cells = [f"   {NOTHING}"] if NOTHING in warnings else [*cells, *(f"   {warning}" for warning in warnings)]
        label = label if len(label) <= room else "…" + label[1 - room :]
        for start in range(0, len(cells), each):
            print(f"{'' if start else label:{room}}{''.join(cells[start : start + each])}")
    if strange := sum(not row.get("familiar", True) for row in rows):
        say(
            f"{plural(strange, 'picture')} unlike all that the model was trained on: its answer may mean nothing.",
            "yellow",
        )
    if doubted := sum(bool(row["doubts"]) for row in rows):
        say(f"{plural(doubted, 'picture')} with doubts about the cut-out: `--show FILE` draws what the model saw.")


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """Print a row a picture: name, number in an array, classes and probabilities, unfamiliarity if known, doubts."""
    count, tells = len(rows[0]["top"]), "unfamiliarity" in rows[0]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = ["image", "index", *(f"{what}_{n}" for n in range(1, count + 1) for what in ("class", "probability"))]
    writer.writerow([*header, *(["unfamiliarity"] if tells else []), "doubts"])
    for row in rows:
        guesses = (cell for guess in row["top"] for cell in (csv_cell(guess["class"]), f"{guess['probability']:.6f}"))
        last = [f"{row['unfamiliarity']:.4f}"] if tells else []
        index = "" if row["index"] is None else row["index"]
        writer.writerow([csv_cell(row["image"]), index, *guesses, *last, "; ".join(row["doubts"])])


def _show(path: Path, found: list[Prediction]) -> None:
    """Draw what the model saw, where files hold one picture each beside these, with names, answers and warnings."""
    import numpy as np

    from fmnist.images.decoding import decode
    from fmnist.images.reading import STDIN
    from fmnist.images.sheet import MAX_PICTURES, contact_sheet
    from fmnist.run.directory import write_bytes

    found = found[:MAX_PICTURES]
    captions = [
        (Path(_label(vars(one))).name, f"{one.class_name} {percent(one.probability, 0)}", ", ".join(one.warnings))
        for one in found
    ]
    files = [None if one.index is not None or one.image in (STDIN, None) else one.image for one in found]
    originals = [decode(name, keep_below=_ORIGINAL) if name else None for name in files]
    write_bytes(
        path, contact_sheet(np.stack([one.picture for one in found]), captions, originals if any(files) else None)
    )
    say(f"Seen      {path}")
