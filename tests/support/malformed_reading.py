"""Reads malformed files, one after another. No Keras.

    python malformed_reading.py COUNT SEED

makes files until COUNT of them were refused, and prints as JSON how many of each kind were, how many were still fine,
which errors were not ours, and by how much the process grew.
"""

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fmnist import diagnosis
from fmnist.config import restore
from fmnist.data.dataset import read_folder
from fmnist.data.sources import FILE_NAMES
from fmnist.errors import FmnistError
from fmnist.run import schema
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history
from fmnist.study import read_study

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.malformed import IMAGES, LABELS, MIB, bombs, malformed


def _data(folder: Path, name: str) -> None:
    for other in FILE_NAMES:
        if not name.startswith(other):
            (folder / other).write_bytes(IMAGES if "images" in other else LABELS)
    read_folder(folder)


def _json(folder: Path, name: str) -> None:
    run = RunDirectory(folder)
    if name == "exports.json":
        run.exports.mkdir()
        (folder / name).rename(run.exports_index)
    schema.check(run)
    if name == "config.json":
        restore(read_json(run.config))


def _history(folder: Path, name: str) -> None:
    diagnosis.diagnose(folder / name, validation_size=100)
    read_history(folder / name)


READERS: dict[str, Callable[[Path, str], None]] = {
    "idx": _data,
    "gzip": _data,
    "classes": _data,
    "csv": _history,
    "json": _json,
    "yaml": lambda folder, name: read_study(folder / name) and None,
}


def read_all(count: int, seed: int) -> dict:
    """Read malformed files until `count` were refused; the bombs come first."""
    rng = random.Random(seed)
    refused: Counter[str] = Counter()
    fine, foreign = 0, []
    waiting = bombs()
    before = _peak()
    while sum(refused.values()) < count:
        kind, name, content = next(waiting, None) or malformed(rng)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(content)
            try:
                READERS[kind](Path(folder), name)
                fine += 1
            except FmnistError as error:
                refused[kind] += 1
                if not str(error).strip() or len(str(error)) > 5000:
                    foreign.append(f"{kind} {name}: a message of {len(str(error))} characters")
            except BaseException as error:  # each would have been a traceback
                foreign.append(f"{kind} {name} {content[:200]!r}: {type(error).__name__}: {error}"[:600])
                refused[kind] += 1
    return {
        "seed": seed,
        "refused": dict(refused),
        "still_fine": fine,
        "tracebacks": foreign,
        "grown_mib": round((_peak() - before) / MIB, 1),
    }


def _peak() -> int:
    """Return the most memory that this process has held; 0 where the system does not tell.

    `getrusage` would begin with the parent's, on Linux.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    print(json.dumps(read_all(int(sys.argv[1]), int(sys.argv[2]))))
