"""`fmnist export`: writes a run's model for phones, servers and others, each file checked against it."""

import shlex
from pathlib import Path
from typing import Any

import click

from fmnist.cli import completion, options
from fmnist.cli.terminal import print_table, say, tell
from fmnist.data.dataset import Dataset
from fmnist.errors import RunError
from fmnist.export.formats import DEFAULT_FORMATS, FORMATS, check_formats
from fmnist.run.directory import RunDirectory
from fmnist.text import percent, size


def _formats(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
    check_formats(names)
    return names


@options.run_command("export", "fmnist export latest", "fmnist export runs/first --format litert,onnx-int8,savedmodel")
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=DEFAULT_FORMATS,
    show_default=True,
    callback=_formats,
    shell_complete=completion.formats,
    metavar="NAME,NAME,…",
    help=f"Formats to write; others are {', '.join(name for name, form in FORMATS.items() if not form.default)}.",
)
@click.option(
    "--calibrate/--no-calibrate",
    default=True,
    help="Write files with calibrated probabilities (the default), or with those of the run's own model.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Write a file even if it fails its check, and mark it in exports.json; the exit code is still 1.",
)
@click.option(
    "--web-runtime",
    type=click.Path(path_type=Path),
    metavar="FILE.tgz",
    help="The npm package that format web needs, if npm cannot fetch it here.",
)
def command(run: RunDirectory, dataset: Dataset, formats: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Write the model of RUN (a path, a name or `latest`) in other formats, into its folder exports/.

    Each file takes raw pixels, uint8, and gives probabilities; each carries its class names. Before it is written, its
    answers for the whole test set are compared with those of Keras: probabilities of float32 formats must agree within
    0.0001, those of fp16 within 0.02 with the same top class on 99.9% of the images, and int8 may lose 0.3 points of
    accuracy. The exit code is 1 if a file fails.

    The probabilities are calibrated: the last layer is divided by the temperature that was fitted on the run's
    validation images, in the files and in the Keras model that they are compared with. The run's own model stays as it
    is.

    Format web is a folder for any static host: a page that classifies pictures from a file, the camera or a drawing on
    the device itself. After the first visit it works without a network.
    """
    from fmnist.export.exporter import export_run

    result = export_run(run, dataset, formats, note=say, **how)
    if as_json:
        options.print_json({"folder": str(run.exports), **result})
    else:
        _print(run.exports, result)
    if result["refused"]:
        raise RunError("\n".join(_reason(row) for row in result["refused"]))


def _print(folder: Path, result: dict[str, Any]) -> None:
    rows = [row for row in result["files"] if row["format"] in result["written"]]
    if not rows:
        return
    table = [["file", "size", "accuracy", "same top class", "largest difference", ""]]
    for row in rows:
        scores = (percent(row[key], 2) for key in ("accuracy", "agreement"))
        difference = f"{row['largest_difference']:.1e}"
        table.append([row["file"], size(row["bytes"]), *scores, difference, "" if row["passed"] else "forced"])
    tell(f"Folder {folder}\n")
    print_table(table)
    calibrated = (
        f"calibrated with temperature {rows[0]['temperature']:.3f}" if rows[0]["calibrated"] else "not calibrated"
    )
    tell(
        f"\nKeras itself: {percent(rows[0]['keras_accuracy'], 2)} of {rows[0]['num_images']:,} test images. "
        f"Probabilities: {calibrated}"
    )
    for form in (FORMATS[name] for name in result["written"]):
        if form.hint:
            tell(form.hint.format(path=shlex.quote(str(folder / form.file))))


def _reason(row: dict[str, Any]) -> str:
    end = "written all the same, marked as forced" if row["written"] else "not written"
    return f"{row['format']}: {'; '.join(row['problems'])}; {end}"
