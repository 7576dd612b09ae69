"""How a network computes while it is trained: its precision, and operations that take the place of several."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fmnist.config import EngineConfig

_TRAINING: ContextVar[bool] = ContextVar("training", default=False)


def precision(settings: EngineConfig) -> str:
    """Return what the training steps compute in, float32 or bfloat16: what is asked for, or what is quicker here."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if multiplies_bfloat16() else "float32"


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the hardware that the backend computes on is known to multiply bfloat16 natively.

    Of processors, only Linux tells; elsewhere the answer is no.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":  # on a processor it computes in float32 and converts
        import jax

        return bool(jax.default_backend() != "cpu")
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return bool(torch.cuda.is_bf16_supported())
    try:
        return bool(re.search(r"(?m)^(flags|Features)\b.*\b(avx512_bf16|amx_bf16|bf16)\b", cpuinfo.read_text()))
    except OSError:
        return False


@contextlib.contextmanager
def arithmetic(settings: EngineConfig) -> Iterator[None]:
    """Let the layers built in a `with` block compute as training does; their variables stay float32.

    They work in the chosen precision, and normalise in one operation where the backend has it.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision(settings) == "bfloat16" else "float32")
    training = _TRAINING.set(True)
    try:
        yield
    finally:
        _TRAINING.reset(training)
        keras.config.set_dtype_policy(before)


def fused_normalization() -> Callable[..., tuple[Any, Any, Any]] | None:
    """Return batch normalisation as one operation, for layers that are built in `arithmetic`; None if there is none.

    The operation takes images (N, H, W, C) of any precision, gamma and beta, float32 (C,), and the epsilon. It returns
    the images normalised, and their mean and variance over N, H and W, float32 (C,).
    """
    import keras

    return _tensorflow_normalization if _TRAINING.get() and keras.backend.backend() == "tensorflow" else None


def is_fused_quicker(channels: int, dtype: str) -> bool:
    """Whether one operation normalises images of so many channels sooner than Keras's several do.

    oneDNN's quick kernels for bfloat16 take multiples of 16: images (192, 28, 28, 24) took 53 ms, and 22 in several
    operations (one core of AMD's Zen 4).
    """
    return dtype != "bfloat16" or channels % 16 == 0


def _tensorflow_normalization(images: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    nothing = tf.zeros(0)
    results = tf.raw_ops.FusedBatchNormV3(
        x=images, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
    )
    # Its variance is the sum of squares by n - 1; Keras's averages hold that by n.
    count = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
    return results.y, results.batch_mean, results.batch_variance * ((count - 1) / count)
