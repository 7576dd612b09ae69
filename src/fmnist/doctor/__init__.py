"""Finds what is wrong with an installation, data, a run, a study, a model or a file, and says how to mend it.

`examine` yields a `Check` for each thing that it looks at. It changes nothing and fetches nothing.
"""

from collections.abc import Iterator
from pathlib import Path

from fmnist.doctor.check import OK, WRONG, Check, attempt
from fmnist.doctor.installation import check_data, check_installation
from fmnist.doctor.rundirectory import check_run, describe
from fmnist.errors import InputError
from fmnist.run.directory import RunDirectory, find_run, is_study, list_runs

__all__ = ["OK", "WRONG", "Check", "examine"]


def examine(
    target: str | None = None, *, runs_dir: Path = Path("runs"), data_dir: Path | None = None
) -> Iterator[Check]:
    """Look at one thing after another.

    Args:
        target: a run or study (its path, its name in `runs_dir`, or `latest`), a model file, an IDX file or a folder of
            them, a history (`.csv`, `.json`), a study's `.yaml`; None for the installation and the data.
        runs_dir: where runs lie.
        data_dir: the data folder, where the official data is not meant.

    Raises:
        InputError: there is nothing of that name.
    """
    if target is None:
        yield from check_installation(runs_dir)
        yield check_data(data_dir)
        return
    path = Path(target)
    if path.is_file():
        yield _file(path)
    elif path.is_dir() and not RunDirectory(path).exists() and not is_study(path):
        yield check_data(path)
    else:
        yield from _runs(target, runs_dir)


def _runs(target: str, runs_dir: Path) -> Iterator[Check]:
    study = next((path for path in (Path(target), runs_dir / target) if is_study(path)), None)
    if study is None:
        yield from check_run(find_run(target, runs_dir))
        return
    for run in list_runs(study):
        for check in check_run(run):
            yield Check(f"{run.name}: {check.name}", check.state, check.text, check.mend)


def _file(path: Path) -> Check:
    """Return whether a file can be used for what it seems to be."""
    from fmnist.data.idx import read_idx
    from fmnist.diagnosis.history import read_history_file
    from fmnist.predictor.opening import open_model
    from fmnist.study import read_study

    def history() -> str:
        return f"a history of {len(read_history_file(path).epochs)} epochs"

    def study() -> str:
        found = read_study(path)
        return f"a study of {len(found.names())} variants and {len(found.seeds)} seeds"

    def array() -> str:
        found = read_idx(path)
        return f"{'labels' if found.ndim == 1 else 'images'}, {' × '.join(map(str, found.shape))}"

    def model() -> str:
        return f"a model of {describe(open_model(path))}"

    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".json", ".jsonl"):
        return attempt("history", history, "docs/histories.md shows which forms `fmnist diagnose` reads")
    if suffix in (".yaml", ".yml"):
        return attempt("study", study, "docs/study.md shows one")
    if suffix == ".gz" or "ubyte" in path.name:
        return attempt("data", array, "copy or download it again")
    if not suffix:
        known = "a run, a model, data, a history or a study"
        raise InputError(f"{path}: its name does not tell what it is; expected {known}")
    return attempt("model", model, "take the file from its source again, or make it again with `fmnist export`")
