"""`fmnist report`: draws a run's plots and writes its report."""

import click

from fmnist.cli import options
from fmnist.data import Dataset
from fmnist.run.directory import RunDirectory
from fmnist.text import plain


@options.run_command("report", "fmnist report latest", "fmnist report runs/first --open")
@options.open_option
def command(run: RunDirectory, dataset: Dataset, as_json: bool, show: bool) -> None:
    """Draw the plots of RUN (a path, a name or `latest`) and write its report.

    The report is one HTML file that needs no network. What the run does not have yet is left out of it.
    """
    from fmnist.report import plots, run_page

    drawn = plots.draw_all(run, dataset)
    path = run_page.write_report(run)
    if as_json:
        options.print_json({"run": str(run.path), "report": str(path), "plots": [str(plot) for plot in drawn]})
    else:
        print(plain(str(path)))
    if show:
        click.launch(str(path))
