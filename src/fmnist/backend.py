"""Sets Keras up and feeds it: everything that differs by backend or processor is here.

`prepare` must run before the first import of Keras to have its full effect; nothing here imports it at module level.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.config import EngineConfig
from fmnist.errors import InputError, RunError

if TYPE_CHECKING:
    import keras

BACKENDS = ("tensorflow", "jax", "torch")


def prepare(settings: EngineConfig | None = None, *, lean: bool = False) -> str:
    """Choose the backend and the engine's switches, import Keras, and return the backend's name.

    oneDNN's kernels are off by default on processors without VNNI; there this one switch is worth 1.3×, and other bits.
    It stays as it is where TensorFlow has been imported already.

    Args:
        settings: what the run asks for.
        lean: keep scikit-learn out of Keras's import, a quarter of its time; `keras.wrappers` won't work then. For
            processes that belong to us.

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
        with silent_stderr(), _hidden("sklearn" if lean else ""):
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
def _hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail as if it were not installed, unless it is loaded already."""
    hide = name and name not in sys.modules
    if hide:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
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


@contextlib.contextmanager
def arithmetic(settings: EngineConfig) -> Iterator[None]:
    """Let the layers built in a `with` block work in the chosen precision; their variables stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Steps:
    """The training steps of a network: a call takes one for each batch, in order.

    TensorFlow gets a loop of its own: traced once, where `fit` traces a step twice, and fed from memory, where a data
    set would have to be tuned. The other backends go through `fit`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss,
        batch_size: int,
        rows: int = 1,
    ) -> None:
        """Prepare; nothing is traced before the first call.

        Args:
            model: images, uint8 (N, H, W, C), or features of them, float32 (N, features), to logits (N, classes).
            optimizer: what moves the weights; it is built here.
            loss: of labels and logits, a mean over the batch; the layers' own losses are added.
            batch_size: images a step.
            rows: how many (N, classes) the loss takes side by side for labels, which are the first.
        """
        import keras

        self.model, self.batch_size = model, batch_size
        backend = keras.backend.backend()
        optimizer.build(model.trainable_variables)
        if backend == "tensorflow":
            self._run = _tensorflow_steps(model, optimizer, loss, batch_size, rows)
        else:
            # JAX has no other way than compiling; PyTorch must return to Python after each step.
            metrics = [keras.metrics.MeanMetricWrapper(_hits, name="accuracy")]
            model.compile(optimizer, loss, metrics=metrics, jit_compile=backend == "jax", steps_per_execution=1)
            self._run = self._fit

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Train on the images in the order given, the last batch smaller.

        Images are uint8 (N, H, W, C), or features, float32 (N, features); labels are float32 (N, rows × classes), and
        the class with the largest share is the correct one. Returns `loss` (nats) and `accuracy` (0 to 1), means over
        the images as each was met, before its step.
        """
        return {name: float(value) for name, value in self._run(images, labels).items()}

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        history = self.model.fit(images, labels, self.batch_size, shuffle=False, verbose=0).history
        return {name: values[0] for name, values in history.items()}


def _hits(wanted: Any, logits: Any) -> Any:
    """Return 1 where the class with the largest share in the first row of labels has the largest logit, else 0."""
    from keras import ops

    return ops.cast(ops.argmax(wanted[:, : logits.shape[-1]], axis=-1) == ops.argmax(logits, axis=-1), "float32")


def _tensorflow_steps(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss, batch_size: int, rows: int
) -> Callable[[np.ndarray, np.ndarray], dict[str, Any]]:
    import tensorflow as tf

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *model.input_shape[1:]), model.inputs[0].dtype),
            tf.TensorSpec((None, rows * model.output_shape[-1]), tf.float32),
        ],
        jit_compile=False,  # XLA on a processor costs TensorFlow 1.9×
    )
    def run(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        loss_sum, hits = tf.constant(0.0), tf.constant(0)
        for start in tf.range(0, tf.shape(images)[0], batch_size):
            batch, wanted = images[start : start + batch_size], labels[start : start + batch_size]
            with tf.GradientTape() as tape:
                logits = model(batch, training=True)
                value = tf.add_n([loss(wanted, logits), *model.losses])
            optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
            loss_sum += value * tf.cast(tf.shape(batch)[0], tf.float32)
            hits += tf.reduce_sum(tf.cast(_hits(wanted, logits), tf.int32))
        count = tf.shape(images)[0]
        return {"loss": loss_sum / tf.cast(count, tf.float32), "accuracy": hits / count}

    return run


class Predictor:
    """A network's output in inference mode, batch by batch; tracing is done once."""

    def __init__(self, model: keras.Model, batch_size: int = 1000) -> None:
        """Prepare; nothing is traced before the first call."""
        import keras

        self.model, self.batch_size, self._run = model, batch_size, None
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self._run = tf.function(
                lambda images: model(images, training=False),
                input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), model.inputs[0].dtype)],
            )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the output, float32 (N, classes), for uint8 images (N, H, W, C) or what else the network takes."""
        if self._run is None:
            return np.asarray(self.model.predict(images, self.batch_size, verbose=0))
        starts = range(0, len(images), self.batch_size)
        return np.concatenate([self._run(images[start : start + self.batch_size]) for start in starts])


def expect_many_models() -> None:
    """Drop TensorFlow's warning that functions are traced again and again, where many networks are to be trained."""
    logging.getLogger("tensorflow").addFilter(_no_retracing)


def _no_retracing(record: logging.LogRecord) -> bool:
    return "retracing" not in record.getMessage()
