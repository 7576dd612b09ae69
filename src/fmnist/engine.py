"""How Keras is set up and fed: everything that differs by backend or processor sits here.

`prepare` must run before the first import of Keras to have its full effect; nothing here imports it at module level.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.config import EngineConfig
from fmnist.errors import InputError, RunError

if TYPE_CHECKING:
    import keras

BACKENDS = ("tensorflow", "jax", "torch")
# The kernel's names for bfloat16 arithmetic in the processor.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def prepare(settings: EngineConfig | None = None) -> str:
    """Choose the backend and the engine's switches, import Keras, and return the backend's name.

    oneDNN's kernels are off by default on processors without VNNI; there this one switch is worth 1.3×.

    Raises:
        InputError: `KERAS_BACKEND` names no backend.
        RunError: Keras or the backend is not installed.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise InputError(f"KERAS_BACKEND is '{backend}'; expected one of {', '.join(BACKENDS)}")
    try:
        with _silent_stderr():
            import keras
    except ImportError as error:
        missing = error.name or "keras"
        raise RunError(
            f"training needs '{missing}', which is not installed; install it with: "
            + (f"pip install {missing}" if missing in ("jax", "torch") else "pip install 'fmnist[train]'")
        ) from error
    if settings is not None and settings.threads:
        _set_threads(settings.threads)
    return str(keras.backend.backend())


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what TensorFlow's C++ side writes on stderr while it is imported: no log level stops its greeting."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _set_threads(threads: int) -> None:
    backend = os.environ["KERAS_BACKEND"]
    if backend == "tensorflow":
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:  # TensorFlow has started already: its threads cannot change any more
            print("fmnist: TensorFlow is running already; --threads has no effect", file=sys.stderr)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def precision(settings: EngineConfig) -> str:
    """Return the arithmetic of the training steps, `float32` or `bfloat16`; `auto` asks the processor.

    Only TensorFlow was measured to gain from bfloat16 (oneDNN's kernels), so that `auto` is float32 elsewhere.
    """
    import keras

    if settings.precision != "auto":
        return settings.precision
    native = keras.backend.backend() == "tensorflow" and BFLOAT16_FLAGS & set(_processor("flags").split())
    return "bfloat16" if native else "float32"


@contextlib.contextmanager
def arithmetic(settings: EngineConfig) -> Iterator[None]:
    """Let the layers built in a `with` block work in the chosen precision; their variables stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision(settings) == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def compile_settings(settings: EngineConfig) -> dict[str, Any]:
    """Return the arguments of `Model.compile` which make this backend fast.

    XLA on a processor costs TensorFlow 1.9×; JAX has nothing else. PyTorch steps must return to Python one by one.
    """
    import keras

    backend = keras.backend.backend()
    return {
        "jit_compile": backend == "jax",
        "steps_per_execution": 1 if backend == "torch" else settings.segment_steps,
    }


def feed(images: np.ndarray, labels: np.ndarray | None, batch_size: int) -> dict[str, Any]:
    """Return the data arguments for `fit`, `evaluate` or `predict`: batches in the order given, the last one smaller.

    On TensorFlow the data set is built by hand to switch autotuning off: with it, whatever iterates a data set ends
    only when the tuner's timer does, at 10 ms × 2ⁿ (measured on TensorFlow 2.21: 3.2 s of work took 5.15 s).

    Args:
        images: uint8 (N, H, W, 1).
        labels: float32 one-hot (N, classes), or None.
        batch_size: images a step.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        arguments: dict[str, Any] = {"x": images, "batch_size": batch_size}
        return arguments if labels is None else {**arguments, "y": labels}
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((images,) if labels is None else (images, labels))
    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": dataset.batch(batch_size).prefetch(2).with_options(options)}


def predict(model: keras.Model, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Return the model's output, float32 (N, classes), for uint8 images (N, H, W), in inference mode."""
    return np.asarray(model.predict(**feed(images[..., np.newaxis], None, batch_size), verbose=0))


def environment() -> dict[str, Any]:
    """Return versions, processor, threads, backend and git commit, as plain values for `environment.json`."""
    import keras

    return {
        "fmnist": _version("fmnist"),
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        **{name: _version(name) for name in ("keras", "numpy")},
        keras.backend.backend(): _backend_version(keras.backend.backend()),
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "platform": platform.platform(),
        "git_commit": _git_commit(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _backend_version(name: str) -> str | None:
    """Return the version of a backend, whichever of its distributions is installed (`tensorflow-cpu`, …)."""
    return _version(name) or _version(f"{name}-cpu")


def _processor(name: str) -> str:
    """Return what the kernel says of the first core under a name, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        return ""


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
