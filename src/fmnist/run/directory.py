"""Names the files of a run directory, writes and reads files safely, and finds a run by path, name or `latest`."""

import contextlib
import datetime
import hashlib
import itertools
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmnist.errors import InputError, RunError, did_you_mean
from fmnist.run import lock
from fmnist.system import sync_directory
from fmnist.text import plain, some

STUDY_FILE, SWEEP_FILE = "study.json", "sweep.json"  # either lies beside the folders of the runs that belong together
TEMPORARY = ".writing-"  # the prefix of half-written files; a killed process leaves them behind
MAX_JSON_BYTES = 3 * 2**20  # parsed, JSON takes up to 25 times its size in memory


class RunDirectory:
    """The files of one run. Holding one neither creates nor reads anything."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name a run directory, existing or not."""
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.status = self.path / "status.json"
        self.decisions = self.path / "decisions.csv"
        self.history = self.path / "history.csv"
        self.first_epoch = self.path / "first_epoch.json"
        self.stopped = self.path / "stopped.json"
        self.checkpoints = self.path / "checkpoints"
        self.features = self.path / "features.npz"
        self.teacher = self.path / "teacher.npz"
        self.model = self.path / "model.keras"
        self.calibration = self.path / "calibration.json"
        self.familiarity = self.path / "familiarity.json"
        self.metrics = self.path / "metrics.json"
        self.predictions = self.path / "predictions.npz"
        self.robustness = self.path / "robustness.json"
        self.diagnosis = self.path / "diagnosis.json"
        self.plots = self.path / "plots"
        self.report = self.path / "report.html"
        self.exports = self.path / "exports"
        self.exports_index = self.exports / "exports.json"
        self.benchmark = self.path / "benchmark.json"
        self.tensorboard = self.path / "tensorboard"
        self.mlflow = self.path / "mlflow.json"

    @property
    def name(self) -> str:
        """The run's name: the last part of its path, fit to be shown."""
        return plain(self.path.resolve().name)

    def exists(self) -> bool:
        """Whether a run has been started here; False too where the folder cannot be looked into."""
        return os.path.isfile(self.config)

    def state(self) -> str:
        """Return `running`, `interrupted`, `finished` or, before the first status, `not started`.

        Or `diverged`: a loss or weight stopped being a finite number; or `failed`, as on a full disk.
        """
        return str(self.read_status().get("state", "not started"))

    def read_status(self) -> dict[str, Any]:
        """Return `status.json`, empty before the first status; an `InputError` if it is damaged."""
        status = read_json(self.status) if self.status.is_file() else {}
        # Before `diverged` was a state of its own, only the message told it from other failures.
        if status.get("state") == "failed" and " became " in str(status.get("message")):
            status["state"] = "diverged"
        return status

    def started(self) -> float:
        """Return when the run was started, in seconds since 1970.

        It says so itself; of one of an earlier version, or damaged, it is the time of its settings' file.
        """
        try:
            return datetime.datetime.fromisoformat(read_json(self.environment)["started"]).timestamp()
        except (InputError, KeyError, TypeError, ValueError, OverflowError):
            return self.config.stat().st_mtime

    def command(self, name: str) -> str:
        """Return the command line that does something with this run, quoted for a shell: `fmnist evaluate runs/first`.

        Args:
            name: of the command, with the flag that takes the run: `evaluate`, or `train --resume`.
        """
        return f"fmnist {name} {shlex.quote(plain(str(self.path)))}"

    def need(self, path: Path, command: str) -> Path:
        """Return `path` if that file exists, else raise an `InputError` that says which command makes it."""
        if not path.is_file():
            raise InputError(f"{self.path} has no {path.name}; `{self.command(command)}` makes it")
        return path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for writing; the kernel lets go when the process ends, however it ends.

        Files that a killed writer left half-written are removed, since only the holder of the lock writes.

        Raises:
            RunError: another process holds it, or the directory cannot be written.
        """
        with lock.hold(self.path):
            for left in self.leftovers():
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
            yield

    def leftovers(self) -> list[Path]:
        """Return the half-written files of killed writers, and of the present one while the lock is held."""
        places = (self.path, self.checkpoints, self.plots, self.exports)
        return [path for place in places for path in place.glob(f"{TEMPORARY}*")]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; after the block its file is fsynced and renamed to `path`.

    If the block or the disk fails, `path` is as it was and the temporary file is removed.

    Raises:
        RunError: the file cannot be written (full disk, read-only folder).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(number)
        temporary = Path(name)
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
        if temporary:
            temporary.unlink(missing_ok=True)


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
        InputError: the file is missing, larger than 3 MiB, or holds no JSON object.
    """
    try:
        content = json.loads(read_bounded(path, MAX_JSON_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def read_bounded(path: Path, limit: int, expected: str = "a small file") -> bytes:
    """Return a file's bytes.

    Raises:
        InputError: there are more than `limit`; never are more read.
        OSError: it cannot be read.
    """
    with open(path, "rb") as handle:
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{path} has more than {limit:,} bytes; expected {expected}")
    return content


def parts(path: Path) -> list[Path]:
    """Return a file, or the files in a folder and below it, sorted."""
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits.

    For a folder it is that of the list of its files which `sha256sum` prints, sorted by path.
    """
    if path.is_dir():
        lines = [f"{sha256(part)}  {part.relative_to(path).as_posix()}\n" for part in parts(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def runs_in(folder: Path) -> list[RunDirectory]:
    """Return the runs in a folder, in any order: nothing of theirs is read."""
    try:
        return [run for run in map(RunDirectory, folder.iterdir()) if run.exists()] if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error


def is_study(folder: Path) -> bool:
    """Whether a folder holds runs that belong together: a study, all folds, or a sweep."""
    return any((folder / name).is_file() for name in (STUDY_FILE, SWEEP_FILE))


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """Return the runs in a folder, the one started last at the end."""
    return sorted(runs_in(runs_dir), key=lambda run: (run.started(), run.path.name))


def has_validation(run: RunDirectory) -> bool:
    """Whether a run keeps images for validation; without any there is nothing to diagnose."""
    config = read_json(run.config)
    return bool(config["dataset"].get("num_validation", config["data"]["validation_fraction"]))


def runs_dir_flags(runs_dir: Path) -> list[list[str]]:
    """Return the flag, with its value, that makes a command look for runs in a folder; none for the usual one."""
    return [] if runs_dir == Path("runs") else [["--runs-dir", str(runs_dir)]]


def train_command(runs_dir: Path) -> str:
    """Return the command line that makes a first run in a folder, quoted for a shell."""
    return shlex.join(["fmnist", "train", *itertools.chain.from_iterable(runs_dir_flags(runs_dir))])


def find_run(text: str, runs_dir: Path = Path("runs")) -> RunDirectory:
    """Return the run that a path, a name in `runs_dir`, or `latest` stands for.

    Raises:
        InputError: there is no such run.
    """
    if text != "latest":
        for candidate in (RunDirectory(text), RunDirectory(runs_dir / text)):
            if candidate.exists():
                return candidate
    runs = list_runs(runs_dir)
    if text == "latest":
        if not runs:
            raise InputError(f"there is no run in {runs_dir} yet; `{train_command(runs_dir)}` makes one")
        return runs[-1]
    hint = did_you_mean(text, [run.name for run in runs])
    known = f" (runs there: {some([run.name for run in reversed(runs)], 5)})" if runs else ""
    raise InputError(f"'{text}' is neither a run directory nor the name of a run in {runs_dir}{hint}{known}")


def find_run_or_file(
    text: str | os.PathLike[str], runs_dir: Path = Path("runs"), suffixes: tuple[str, ...] = (".keras",)
) -> RunDirectory | Path:
    """Return the path of a model file, if `text` is a file or ends like one, or else the run, as `find_run` does.

    Raises:
        InputError: there is no such run; a file that isn't there is left to whoever opens it.
    """
    path = Path(text)
    if path.is_file() or (path.suffix.lower() in suffixes and not path.is_dir()):
        return path
    return find_run(str(text), runs_dir)
