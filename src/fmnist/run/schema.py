"""Checks the JSON files of a run, and its history, before they are used. `config` checks the settings.

A run may come from somebody else, or from a disk that failed. Whoever has checked it need not expect surprises.
"""

from fmnist.errors import FmnistError, InputError
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


def check(run: RunDirectory) -> RunDirectory:
    """Return a run whose files are what they should be.

    Raises:
        InputError: tells everything that is wrong.
    """
    if found := problems(run):
        told = [f"{run.path} has damaged files:", *(f"  - {text}" for text in found)]
        raise InputError("\n".join([*told, f"`{run.command('doctor')}` says what to do"]))
    return run


def problems(run: RunDirectory) -> list[str]:
    """Return what is wrong with the JSON files and the history of a run; what isn't there yet is not wrong.

    At most five problems a file are told.
    """
    from fmnist.run import contents

    found = []
    scores = (run.calibration, run.metrics, run.robustness, run.diagnosis)
    results = (run.first_epoch, *scores, run.exports_index, run.benchmark, run.mlflow)
    for path in (run.config, run.environment, run.status, *results):
        try:
            if path.is_file():
                found += [f"{path.name}: {problem}" for problem in contents.problems(path.name, read_json(path))[:5]]
        except FmnistError as error:
            found.append(str(error))
    try:
        if run.history.is_file():
            read_history(run.history)
    except FmnistError as error:
        found.append(str(error))
    return found
