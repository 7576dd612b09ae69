"""Runs one of our functions in a child process: converters leak memory, and a runtime can take its process along.

Job and answer go through pipes, as a line of JSON and then arrays in NumPy's format; nothing is pickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fmnist.errors import FmnistError, InputError, RunError, first_line
from fmnist.system import limit

if TYPE_CHECKING:
    import numpy as np

Answer: TypeAlias = "tuple[dict[str, Any], dict[str, np.ndarray]]"
"""What a function returns that is run in a child process: plain values, as JSON has them, and arrays."""
# The child finds the package where the parent did, wherever it is started.
_START = "import json, pkgutil, sys; sys.path[:] = json.loads(sys.argv[1]); pkgutil.resolve_name(sys.argv[2])()"


@dataclass(frozen=True)
class Bounds:
    """What a child process may take: bytes of memory, and seconds. It starts in an empty folder and writes no file."""

    memory: int
    seconds: float


def call(
    function: str,
    what: str,
    arrays: dict[str, np.ndarray] | None = None,
    *,
    backend: str | None = None,
    bounds: Bounds | None = None,
    **values: Any,
) -> Answer:
    """Call `module:name` with arrays and values as its keyword arguments in a new Python, and return what it returned.

    Messages begin with `what`: what failed. `backend` is the child's `KERAS_BACKEND`, by default the parent's.

    Raises:
        InputError: the function raised it.
        RunError: the function failed in another way, its process was ended, or it took too long.
    """
    job = _pack({"function": function, "values": values, "bounds": bounds and asdict(bounds)}, arrays or {})
    command = python("fmnist.predictor.process:main")
    with tempfile.TemporaryDirectory(prefix="fmnist-") as empty:
        # TensorFlow's temporary files, which the child's sudden end would leave behind, go with this folder.
        variables = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), empty)
        variables |= {"KERAS_BACKEND": backend} if backend else {}
        bounded: dict[str, Any] = {"timeout": bounds.seconds, "cwd": empty} if bounds else {}
        try:
            done = subprocess.run(command, input=job, capture_output=True, env=variables, **bounded)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"{what}: it took longer than {error.timeout:g} seconds") from error
    answer: dict[str, Any] = {}
    if not done.returncode:
        with contextlib.suppress(Exception):  # a child that went wrong can have written anything
            answer, made = _unpack(done.stdout)
            return answer["values"], made
    problem = answer.get("problem", f"the process was ended ({end(done.returncode)})")
    failure = (InputError if answer.get("kind") == "InputError" else RunError)(f"{what}: {problem}")
    # TensorFlow and the converters write essays on stderr; they are a note of the error, shown with --debug.
    failure.add_note(done.stderr.decode(errors="replace"))
    raise failure


def python(function: str) -> list[str]:
    """Return the command that calls `module:name` in a new Python, which takes modules from where this one does."""
    return [sys.executable, "-P", "-c", _START, json.dumps([os.path.abspath(part) for part in sys.path]), function]


def _pack(message: dict[str, Any], arrays: dict[str, np.ndarray]) -> memoryview:
    from numpy.lib.format import write_array

    stream = io.BytesIO()
    stream.write(json.dumps(message | {"arrays": [*arrays]}).encode() + b"\n")
    for array in arrays.values():
        write_array(stream, array, allow_pickle=False)
    return stream.getbuffer()


def _unpack(content: bytes) -> Answer:
    from numpy.lib.format import read_array

    stream = io.BytesIO(content)
    message = json.loads(stream.readline())
    return message, {key: read_array(stream, allow_pickle=False) for key in message.pop("arrays")}


def end(code: int) -> str:
    """Say how a process ended that has this return code."""
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return name + {"SIGKILL": ", as when memory runs out", "SIGXCPU": ", as it computed for too long"}.get(name, "")
    return f"exit code {code}"


def main() -> None:
    """Do the job that comes on stdin, and answer on stdout."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what runtimes print is no part of the answer
    job, arrays = _unpack(sys.stdin.buffer.read())
    made: dict[str, np.ndarray] = {}
    try:
        function = pkgutil.resolve_name(job["function"])
        if job["bounds"]:
            limit(**job["bounds"])
        values, made = function(**job["values"], **arrays)
        answer = {"values": values}
    except FmnistError as error:
        answer = {"problem": str(error), "kind": type(error).__name__}
    except Exception as error:
        traceback.print_exc()
        answer = {"problem": f"{type(error).__name__}: {first_line(error)}"}
    answers.write(_pack(answer, made))
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # nothing of a runtime that choked on a file may run any more
