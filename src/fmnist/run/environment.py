"""Tells what a run is made with: versions, processor, cores, backend, git commit. Knows no run."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from fmnist.system import cores


def environment() -> dict[str, Any]:
    """Return versions, processor, cores, backend and git commit, as plain values for `environment.json`."""
    import keras

    backend = keras.backend.backend()
    return machine() | {
        "backend": backend,
        **{name: _version(name) for name in ("keras", "numpy")},
        backend: _version(backend) or _version(f"{backend}-cpu"),
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


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Return the commit of the checkout this package runs from, or None where it was installed without one."""
    try:
        command, here = ("git", "rev-parse", "HEAD"), Path(__file__).resolve().parent
        return subprocess.check_output(command, cwd=here, stderr=subprocess.DEVNULL, text=True, timeout=5).strip()
    except (OSError, subprocess.SubprocessError):
        return None
