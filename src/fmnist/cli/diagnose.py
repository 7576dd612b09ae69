"""`fmnist diagnose`: says in words what a training history shows."""

import sys
from pathlib import Path

import click

from fmnist.cli import options
from fmnist.cli.terminal import say, tell, width
from fmnist.errors import InputError


@options.command("diagnose", "fmnist diagnose latest", "fmnist diagnose training.csv --validation-size 10000")
@options.run_argument("run_or_file", metavar="RUN_OR_FILE")
@options.runs_dir_option
@click.option(
    "--validation-size",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Number of validation images, for the margins [default: the run's].",
)
def command(run_or_file: str, runs_dir: Path, validation_size: int | None, as_json: bool) -> None:
    """Say what the learning curves of RUN (a path, a name or `latest`) mean, with evidence, and what to try next.

    Writes diagnosis.json into the run, unless it is in use or cannot be written. A history file from elsewhere will do
    as well: CSV or JSON, such as Keras, fastai, Lightning and many others write.
    """
    from fmnist import diagnosis

    path = Path(run_or_file)
    if path.is_file():
        found = diagnosis.diagnose(path, validation_size=validation_size)
        source = str(path)
    else:
        try:
            run = options.open_run(run_or_file, runs_dir)
        except InputError as error:
            raise InputError(f"{error}; a history file (CSV or JSON) will do as well") from error
        with options.hold_or_read(run) as refused:
            if refused:
                say(f"{refused}. It is only read: nothing is written into it.")
            found = diagnosis.diagnose_run(run, validation_size=validation_size, write=refused is None)
        source = str(run.path)
    if as_json:
        options.print_json({"source": source, **found.to_dict()})
    else:
        tell(found.text(width(sys.stdout)))
