"""The run directory: every file name of a run, atomic writes, the lock, and finding a run by path, name or `latest`."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmnist.errors import InputError, RunError, did_you_mean

HISTORY_COLUMNS = (
    "epoch",
    "seconds",
    "learning_rate",
    "loss",
    "accuracy",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
# The training images that are measured after each epoch: enough for a standard error of 0.2 points at 98%.
TRAIN_SAMPLE = 5_000
# Lies in the folder of a study, whose runs are folders inside it.
STUDY_FILE = "study.json"
MAX_JSON_BYTES = 64 * 2**20


class RunDirectory:
    """The files of one run. Holding one neither creates nor reads anything."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name a run directory, existing or not."""
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.status = self.path / "status.json"
        self.history = self.path / "history.csv"
        self.checkpoints = self.path / "checkpoints"
        self.features = self.path / "features.npy"
        self.model = self.path / "model.keras"
        self.calibration = self.path / "calibration.json"
        self.familiarity = self.path / "familiarity.json"
        self.metrics = self.path / "metrics.json"
        self.predictions = self.path / "predictions.npz"
        self.diagnosis = self.path / "diagnosis.json"
        self.plots = self.path / "plots"
        self.report = self.path / "report.html"
        self.exports = self.path / "exports"
        self.exports_index = self.exports / "exports.json"
        self.benchmark = self.path / "benchmark.json"

    @property
    def name(self) -> str:
        """The run's name: the last part of its path."""
        return self.path.resolve().name

    def exists(self) -> bool:
        """Whether a run has been started here."""
        return self.config.is_file()

    def state(self) -> str:
        """Return `running`, `interrupted`, `failed`, `finished` or, before the first status, `empty`."""
        return str(read_json(self.status).get("state", "empty")) if self.status.is_file() else "empty"

    def need(self, path: Path, command: str) -> Path:
        """Return `path` if it exists, else say which command makes it.

        Raises:
            InputError: the file is not there.
        """
        if not path.is_file():
            raise InputError(f"{self.path} has no {path.name}; `fmnist {command}` makes it")
        return path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for writing; the kernel lets go when the process ends, however it ends.

        Raises:
            RunError: another process holds it, or the directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = open(self.path / ".lock", "a+b")  # noqa: SIM115 (closed below, after the lock is released)
        except OSError as error:
            raise RunError(f"cannot write the run directory {self.path}: {error.strerror or error}") from error
        with handle:
            if not _try_lock(handle):
                raise RunError(f"{self.path} is in use by another process; wait for it, or choose another --name")
            yield


def _try_lock(handle: Any) -> bool:
    """Take an exclusive lock on an open file without waiting; False where another process has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        lock = lambda: msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # noqa: E731
    else:
        lock = lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: E731
    try:
        lock()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; after the block its file is fsynced and renamed to `path`.

    If the block or the disk fails, `path` is as it was and the temporary file is removed.

    Raises:
        RunError: the file cannot be written (full disk, read-only folder).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(number)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        # mkstemp makes the file private; a run's files get what the user's umask gives any new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut, where the system lets a folder be opened."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically; NaN and infinity are refused, since JSON has no name for them."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: the file is missing, larger than 64 MiB, or holds no JSON object.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MiB; expected a small JSON file")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `history.csv`: a row an epoch, columns `HISTORY_COLUMNS`, an empty cell where there is no value."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [",".join(_cell(row.get(column)) for column in HISTORY_COLUMNS) for row in rows]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _cell(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.7g}"


def read_history(path: Path) -> list[dict[str, float]]:
    """Read `history.csv` as a list of rows; empty cells are left out of their row.

    Raises:
        InputError: the file is missing, has no epoch column, or a cell is not a number.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            if "epoch" not in (reader.fieldnames or []):
                raise InputError(f"{path} has no column 'epoch'; expected the columns {', '.join(HISTORY_COLUMNS)}")
            return [{key: _number(path, key, cell) for key, cell in row.items() if cell} for row in reader]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error


def _number(path: Path, column: str, cell: str) -> float:
    try:
        return int(cell) if column == "epoch" else float(cell)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: column '{column}' holds {cell!r}; expected a number") from error


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """Return the runs in a folder, the one started last at the end."""
    if not runs_dir.is_dir():
        return []
    runs = [RunDirectory(path) for path in runs_dir.iterdir() if (path / "config.json").is_file()]
    return sorted(runs, key=lambda run: (run.config.stat().st_mtime_ns, run.name))


def find_run(text: str, runs_dir: Path = Path("runs")) -> RunDirectory:
    """Return the run that a path, a name in `runs_dir`, or `latest` stands for.

    Raises:
        InputError: there is no such run.
    """
    runs = list_runs(runs_dir)
    if text == "latest":
        if not runs:
            raise InputError(f"there is no run in {runs_dir} yet; `fmnist train` makes one")
        return runs[-1]
    for candidate in (RunDirectory(text), RunDirectory(runs_dir / text)):
        if candidate.exists():
            return candidate
    hint = did_you_mean(text, [run.name for run in runs])
    known = f" (runs there: {', '.join(run.name for run in runs[-5:])})" if runs else ""
    raise InputError(f"'{text}' is neither a run directory nor the name of a run in {runs_dir}{hint}{known}")
