"""`fmnist report`: draws a run's plots and writes its report."""

from pathlib import Path

import click

from fmnist.cli import options
from fmnist.data.dataset import Dataset
from fmnist.errors import RunError
from fmnist.run.directory import RunDirectory
from fmnist.text import plain


@options.run_command("report", "fmnist report latest", "fmnist report runs/first --open", reads=True)
@options.open_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="FOLDER",
    help="Folder for plots and report; RUN is only read [default: RUN].",
)
def command(
    run: RunDirectory, dataset: Dataset, as_json: bool, show: bool, out: Path | None, refused: RunError | None
) -> None:
    """Draw the plots of RUN (a path, a name or `latest`) and write its report.

    The report is one HTML file that needs no network. It leaves out what the run does not have yet.
    """
    from fmnist.report import plots, run_page

    if refused and not out:
        raise RunError(f"{refused}; with --out FOLDER the report is written there")
    drawn = plots.draw_all(run, dataset, out)
    path = run_page.write_report(run, out)
    if as_json:
        options.print_json({"run": str(run.path), "report": str(path), "plots": [str(plot) for plot in drawn]})
    else:
        print(plain(str(path)))
    if show:
        click.launch(str(path))
