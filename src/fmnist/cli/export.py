"""`fmnist export`: writes a run's model for phones, servers and others, each file checked against it."""

import shlex
from pathlib import Path
from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import print_table, say
from fmnist.data import Dataset
from fmnist.errors import RunError
from fmnist.export.formats import DEFAULT_FORMATS, FORMATS, check_formats
from fmnist.run.directory import RunDirectory
from fmnist.text import percent, size


def _formats(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    check_formats(names)
    return names


@options.run_command("export", "fmnist export latest", "fmnist export runs/first --format litert,onnx-int8,savedmodel")
@click.option(
    "--format",
    "formats",
    default=",".join(DEFAULT_FORMATS),
    show_default=True,
    callback=_formats,
    metavar="NAME,NAME,…",
    help=f"Also: {', '.join(name for name, form in FORMATS.items() if not form.default)}.",
)
@click.option(
    "--calibrate/--no-calibrate",
    default=True,
    help="Fold the temperature in (the default), or give the probabilities of the run's own model.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Write a file that its gate refuses too, marked in exports.json; the exit code stays 1.",
)
@click.option(
    "--web-runtime",
    type=click.Path(path_type=Path),
    metavar="FILE.tgz",
    help="The npm package that format web needs, where npm cannot fetch it.",
)
def command(run: RunDirectory, dataset: Dataset, formats: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Write the model of RUN (a path, a name or `latest`) in other formats, into its folder exports/.

    Each file takes raw pixels, uint8, and gives probabilities; each carries its class names. Before it is put there, it
    answers the whole test set beside Keras: float32 formats must come within 0.0001 on every image, fp16 within 0.02
    with the same top class on 99.9%, and int8 may lose 0.3 points of accuracy. Exit code 1 if one fails.

    The probabilities are calibrated: the temperature fitted on the run's validation images is folded into the last
    layer, in the files and in the Keras model that they are compared with. The run's own model stays as it is.

    Format web is a folder for any static host: a page that classifies on the device, from a file, the camera or a
    drawing, also without a network once it was opened.
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
        table.append(
            [str(folder / row["file"]), size(row["bytes"]), *scores, difference, "" if row["passed"] else "forced"]
        )
    print_table(table)
    calibrated = f"at temperature {rows[0]['temperature']:.3f}" if rows[0]["calibrated"] else "not calibrated"
    print(
        f"Keras itself: {percent(rows[0]['keras_accuracy'], 2)} of {rows[0]['num_images']:,} test images. "
        f"Probabilities: {calibrated}"
    )
    for form in (FORMATS[name] for name in result["written"]):
        if form.hint:
            print(form.hint.format(path=shlex.quote(str(folder / form.file))))


def _reason(row: dict[str, Any]) -> str:
    end = "written all the same, marked as forced" if row["written"] else "not written"
    return f"{row['format']}: {'; '.join(row['problems'])}; {end}"
