"""`fmnist report`: draws a run's plots and writes its report."""

from pathlib import Path

import click

from fmnist.cli import options


@click.command("report", epilog=options.examples("fmnist report latest", "fmnist report runs/first --open"))
@options.run_argument
@options.runs_dir_option
@options.data_dir_option
@options.json_option
@options.open_option
def command(run_name: str, runs_dir: Path, data_dir: Path | None, as_json: bool, show: bool) -> None:
    """Draw the plots of RUN (a path, a name or `latest`) and write its report.

    The report is one HTML file that needs no network. What the run does not have yet is left out of it.
    """
    run = options.open_run(run_name, runs_dir)
    dataset = options.load_data(data_dir)

    from fmnist.report import plots, run_page

    with run.lock():
        drawn = plots.draw_all(run, dataset)
        path = run_page.write_report(run)
    if as_json:
        options.print_json({"run": str(run.path), "report": str(path), "plots": [str(plot) for plot in drawn]})
    else:
        print(path)
    if show:
        click.launch(str(path))
