"""What a run was made with: versions, processor, backend, git commit. Knows no run."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Return versions, processor, threads, backend and git commit, as plain values for `environment.json`."""
    import keras

    return machine() | {
        "backend": keras.backend.backend(),
        **{name: _version(name) for name in ("keras", "numpy")},
        keras.backend.backend(): _backend_version(keras.backend.backend()),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "git_commit": _git_commit(),
    }


def machine() -> dict[str, Any]:
    """Return what can be told without Keras: versions of fmnist and Python, processor, cores, system."""
    return {
        "fmnist": _version("fmnist"),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": cores(),
        "platform": platform.platform(),
    }


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _backend_version(name: str) -> str | None:
    """Return the version of a backend, whichever of its distributions is installed (`tensorflow-cpu`, …)."""
    return _version(name) or _version(f"{name}-cpu")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Return the commit of the checkout this package runs from, or None where it was installed without one."""
    try:
        here = Path(__file__).resolve().parent
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
