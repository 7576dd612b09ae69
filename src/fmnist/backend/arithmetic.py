"""How a network computes while it is trained: its precision, and operations that take the place of several."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from fmnist.config import EngineConfig

_TRAINING: ContextVar[bool] = ContextVar("training", default=False)


@contextlib.contextmanager
def arithmetic(settings: EngineConfig) -> Iterator[None]:
    """Let the layers built in a `with` block compute as training does; their variables stay float32.

    They work in the chosen precision, and normalise in one operation where the backend has it.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else "float32")
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


def _tensorflow_normalization(images: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    nothing = tf.zeros(0)
    results = tf.raw_ops.FusedBatchNormV3(
        x=images, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
    )
    # Its variance is the sum of squares by n - 1; Keras's averages hold that by n.
    count = tf.cast(tf.size(images) // images.shape[-1], tf.float32)
    return results.y, results.batch_mean, results.batch_variance * ((count - 1) / count)
