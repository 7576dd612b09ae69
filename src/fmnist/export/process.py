"""One of our functions in a process of its own: converters leak memory, and a runtime can take its process along."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import errors

# The child finds the package where the parent did, wherever it is started.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from fmnist.export.process import main; main()"
_JOB, _RESULT = "job.json", "result.json"


def call(
    function: str, what: str, arrays: dict[str, np.ndarray] | None = None, *, backend: str | None = None, **values: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Call a function of this package in a new Python and return what it returned.

    Args:
        function: `module:name`; it takes keyword arguments, and returns a pair of plain values and arrays, as here.
        what: says in messages what was being done.
        arrays: its arguments that are arrays; the child maps them from files.
        backend: `KERAS_BACKEND` of the child; by default the parent's.
        values: its other arguments, such as JSON has them.

    Raises:
        InputError: the function raised it.
        RunError: the function failed or its process was ended.
    """
    # TensorFlow and the converters write essays on stderr; they are a note of the error, shown with --debug.
    with tempfile.TemporaryDirectory(prefix="fmnist-") as name:
        folder = Path(name)
        (folder / _JOB).write_text(json.dumps({"function": function, "values": values, "arrays": [*(arrays or {})]}))
        for key, array in (arrays or {}).items():
            np.save(folder / f"{key}.npy", array)
        environment = os.environ | ({"KERAS_BACKEND": backend} if backend else {})
        path = json.dumps([os.path.abspath(part) for part in sys.path])
        done = subprocess.run(
            [sys.executable, "-c", _START, path, name],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if (folder / _RESULT).is_file():
            result = json.loads((folder / _RESULT).read_text())
            if "values" in result:
                return result["values"], {key: np.load(folder / f"out-{key}.npy") for key in result["arrays"]}
            kind, problem = getattr(errors, result["kind"]), f"{what}: {result['problem']}"
        else:
            kind, problem = errors.RunError, f"{what}: the process was ended ({_end(done.returncode)})"
    error: Exception = kind(problem)
    error.add_note(done.stderr.decode(errors="replace"))
    raise error


def _end(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"{name}, as when memory runs out" if name == "SIGKILL" else name
    return f"exit code {code}"


def main() -> None:
    """Do the job that lies in the folder named by the second argument."""
    folder = Path(sys.argv[2])
    job = json.loads((folder / _JOB).read_text())
    module, name = job["function"].split(":")
    try:
        arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in job["arrays"]}
        values, made = getattr(import_module(module), name)(**job["values"], **arrays)
        for key, array in made.items():
            np.save(folder / f"out-{key}.npy", array)
        result = {"values": values, "arrays": [*made]}
    except Exception as error:  # told to the parent, which raises it
        import traceback

        traceback.print_exc()
        ours = isinstance(error, errors.FmnistError)
        kind = "InputError" if isinstance(error, errors.InputError) else "RunError"
        text = (str(error).strip().splitlines() or [""])[0][:300]
        result = {"kind": kind, "problem": str(error) if ours else f"{type(error).__name__}: {text}"}
    unfinished = folder / f"{_RESULT}.part"
    unfinished.write_text(json.dumps(result))
    unfinished.rename(folder / _RESULT)
