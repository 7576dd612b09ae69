"""`fmnist predict`: names the classes of pictures."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import Bar, say
from fmnist.errors import InputError
from fmnist.text import percent, plural

if TYPE_CHECKING:
    import numpy as np

    from fmnist.predictor import Predictor

# Photos that wait to be answered together.
_TOGETHER = 512


@click.command(
    "predict",
    epilog=options.examples(
        "fmnist predict latest shoe.jpg", "fmnist predict model.tflite photos/ --csv > answers.csv"
    ),
)
@click.argument("model")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name, best first.")
@options.json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header.")
@click.option(
    "--show",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a PNG of what the model saw, the first 500 pictures enlarged.",
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

    MODEL is a run (a path, a name or `latest`) or a file: .tflite, .onnx or .keras. A run answers through its LiteRT
    export, if it has one, and needs no TensorFlow then.

    \b
    IMAGE is any number of
      pictures          PNG, JPEG, WebP, GIF, BMP, TIFF, PPM; of several frames the first
      folders           for the pictures in them and below
      'patterns*.png'   in quotes, or left to the shell
      IDX files         gzipped or not, and .npy arrays, uint8 (N, H, W)
      -                 one of these on stdin

    A photo is made like the training pictures: turned upright, the object cut out of its background, shrunk, centred,
    light on black. Pictures of the model's own size are taken as they are, and so are arrays.

    A picture unlike all that the model was trained on is called unfamiliar; its
    unfamiliarity in --json and --csv is then above 1.

    What cannot be read is named on stderr and left out. The exit code is 2 if nothing could be read, or if --strict is
    given and anything could not.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from fmnist.predictor import open_model

    predictor = open_model(model, runs_dir)
    rows, unreadable, seen = _answers(predictor, images, min(top, len(predictor.class_names)), show is not None)
    if unreadable and (strict or not rows):
        nothing = "these cannot be read, and --strict wants all" if rows else "no picture could be read"
        raise InputError("\n  ".join([f"{nothing}:", *(row["problem"] for row in unreadable)]))
    for row in unreadable:
        say(f"Left out  {row['problem']}")
    if show:
        _show(show, seen, rows)
    if as_json:
        result = {"model": model, "format": predictor.format, "predictions": rows, "unreadable": unreadable}
        options.print_json(result)
    elif as_csv:
        _print_csv(rows)
    else:
        _print(rows)


def _answers(
    predictor: Predictor, images: tuple[str, ...], top: int, keep: bool
) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[np.ndarray]]:
    """Return a row a picture, what could not be read, and, if they are to be kept, the model's pictures."""
    import numpy as np

    from fmnist.images import find_pictures, read_pictures

    rows: list[dict[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    seen: list[np.ndarray] = []
    waiting: list[tuple[str, int | None]] = []
    pictures: list[np.ndarray] = []
    names: list[str] = []
    for image in images:
        try:
            names += find_pictures(image)
        except InputError as error:
            unreadable.append({"image": image, "problem": str(error)})
    stdin = getattr(sys.stdin, "buffer", None)  # there is no stdin after `<&-`
    bar = Bar(len(names), text="Files", delay=1)
    try:
        for number, name in enumerate(names, 1):
            try:
                found, many = read_pictures(name, predictor.image_shape, stdin, predictor.preparation)
                waiting += [(name, index if many else None) for index in range(len(found))]
                pictures.append(found)
            except InputError as error:
                unreadable.append({"image": name, "problem": str(error)})
            if len(waiting) >= _TOGETHER or (waiting and number == len(names)):
                batch = np.concatenate(pictures)
                rows += _rows(waiting, batch, predictor, top)
                seen += [batch] * keep
                waiting, pictures = [], []
            bar.move(number, note=f"{number:,} of {len(names):,}")
    finally:
        bar.close()
    return rows, unreadable, seen


def _rows(
    names: list[tuple[str, int | None]], pictures: np.ndarray, predictor: Predictor, top: int
) -> list[dict[str, Any]]:
    """Return a row a picture, with `unfamiliarity` and `familiar` where the model can tell."""
    probabilities, class_names = predictor.probabilities(pictures), predictor.class_names
    order = (-probabilities).argsort(axis=1, kind="stable")[:, :top].tolist()
    shares = probabilities.tolist()
    rows: list[dict[str, Any]] = [
        {
            "image": name,
            "index": index,
            "top": [{"class": class_names[label], "label": label, "probability": row[label]} for label in best],
        }
        for (name, index), best, row in zip(names, order, shares, strict=True)
    ]
    if (threshold := predictor.threshold) is not None:
        for row, unfamiliarity in zip(rows, predictor.unfamiliarity(pictures).tolist(), strict=True):
            row |= {"unfamiliarity": unfamiliarity, "familiar": unfamiliarity <= threshold}
    return rows


def _label(row: dict[str, Any]) -> str:
    """Return what a line calls a picture, without line breaks or bytes that no terminal shows."""
    name = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in row["image"]
    )
    return name if row["index"] is None else f"{name}[{row['index']}]"


def _print(rows: list[dict[str, Any]]) -> None:
    labels = [_label(row) for row in rows]
    width = max(map(len, labels))
    name_width = max(len(guess["class"]) for row in rows for guess in row["top"])
    lines = (
        f"{label:{width}}"
        + "".join(f"   {guess['class']:{name_width}} {percent(guess['probability']):>6}" for guess in row["top"])
        + ("" if row.get("familiar", True) else "   unfamiliar")
        for label, row in zip(labels, rows, strict=True)
    )
    print("\n".join(lines))
    if strange := sum(not row.get("familiar", True) for row in rows):
        say(f"{plural(strange, 'picture')} unlike all that the model was trained on: its answer may mean nothing.")


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """Print a row a picture: name, number in an array, class and probability, best first, unfamiliarity if known."""
    count, tells = len(rows[0]["top"]), "unfamiliarity" in rows[0]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = ["image", "index", *(f"{what}_{n}" for n in range(1, count + 1) for what in ("class", "probability"))]
    writer.writerow([*header, "unfamiliarity"] if tells else header)
    for row in rows:
        guesses = (cell for guess in row["top"] for cell in (guess["class"], f"{guess['probability']:.6f}"))
        last = [f"{row['unfamiliarity']:.4f}"] if tells else []
        writer.writerow([row["image"], "" if row["index"] is None else row["index"], *guesses, *last])


def _show(path: Path, seen: list[np.ndarray], rows: list[dict[str, Any]]) -> None:
    import numpy as np

    from fmnist.images import contact_sheet
    from fmnist.run.directory import write_bytes

    captions = [f"{row['top'][0]['class']} {percent(row['top'][0]['probability'], 0)}" for row in rows]
    write_bytes(path, contact_sheet(np.concatenate(seen), captions))
    say(f"Seen      {path}")
