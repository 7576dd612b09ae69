"""Sets Keras up: its backend, what its import loads, threads, determinism.

`prepare` must run before the first import of Keras to have its full effect; nothing here imports it at module level.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from fmnist.config import EngineConfig
from fmnist.errors import InputError, RunError

BACKENDS = ("tensorflow", "jax", "torch")
# What Keras and TensorFlow import where it is installed, for pictures of models, data frames and the like: a third of
# the time. JAX cannot do without SciPy.
OPTIONAL = ("IPython", "matplotlib", "pandas", "scipy", "sklearn")


def prepare(settings: EngineConfig | None = None, *, lean: bool = False) -> str:
    """Choose the backend and the engine's switches, import Keras, and return the backend's name.

    oneDNN's kernels are off by default on processors without VNNI; there this one switch is worth 1.3×, and other bits.
    It stays as it is where TensorFlow has been imported already.

    Args:
        settings: what the run asks for.
        lean: keep packages that Keras on TensorFlow can do without out of its import; what it does with them won't work
            then. For processes that belong to us.

    Raises:
        InputError: `KERAS_BACKEND` names no backend.
        RunError: Keras or the backend is not installed.
    """
    if "tensorflow" not in sys.modules:  # later it has no effect, and `environment.json` would tell what is not so
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise InputError(f"KERAS_BACKEND is '{backend}'; expected one of {', '.join(BACKENDS)}")
    deterministic = settings is not None and settings.deterministic
    if deterministic and backend == "jax":  # read once, when it starts
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    try:
        with silent_stderr(), _hidden(*OPTIONAL if lean and backend == "tensorflow" else ()):
            import keras
    except ImportError as error:
        missing = error.name or "keras"
        raise RunError(
            f"this needs '{missing}', which is not installed; install it with: "
            + (f"pip install {missing}" if missing in ("jax", "torch") else "pip install 'fmnist[train]'")
        ) from error
    # A user's keras.json may say otherwise: with channels_first the same command gave 55.8% instead of 79.9%.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    if settings is not None and settings.threads:
        _set_threads(settings.threads)
    if deterministic:
        _make_deterministic(backend)
    return str(keras.backend.backend())


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what a runtime's C++ side writes on stderr while it is set up: no log level stops TensorFlow's greeting."""
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


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Let imports of modules fail as if they were not installed, unless they are loaded already."""
    hide = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hide))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hide:
            del sys.modules[name]


def _set_threads(threads: int) -> None:
    backend = os.environ["KERAS_BACKEND"]
    if backend == "tensorflow":
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:  # TensorFlow has started already: its threads cannot change any more
            print("fmnist: TensorFlow is running already; the setting `threads` has no effect", file=sys.stderr)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def _make_deterministic(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def expect_many_models() -> None:
    """Drop TensorFlow's warning that functions are traced again and again, where many networks are to be trained."""
    logging.getLogger("tensorflow").addFilter(_no_retracing)


def _no_retracing(record: logging.LogRecord) -> bool:
    return "retracing" not in record.getMessage()
