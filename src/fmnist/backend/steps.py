"""Feeds a network: its training steps, and its answers batch by batch."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.backend import processes
from fmnist.errors import InputError

if TYPE_CHECKING:
    import keras


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
        elif processes.joined():
            self._run = _shared_steps(model, optimizer, loss, batch_size)
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


def _shared_steps(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss, batch_size: int
) -> Callable[[np.ndarray, np.ndarray], dict[str, Any]]:
    """Return steps on JAX in which every device of every process computes its share of a batch.

    One function computes the step of the whole batch; XLA divides its work, and adds up what concerns all images:
    gradients, and the means of batch normalisation. So neither these nor the masks of dropout depend on the number of
    devices. Each process gives the whole batch, whose size need not be a multiple.
    """
    import jax
    from keras import ops

    if batch_size < (count := len(jax.devices())):
        raise InputError(f"`batch_size={batch_size}` is less than the {count} devices; expected an image for each")
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "images")
    whole, shares = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in ((), ("images",)))
    variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)

    def objective(trained: Any, others: Any, images: Any, wanted: Any) -> tuple[Any, tuple[Any, Any]]:
        logits, others, penalties = model.stateless_call(trained, others, images, training=True, return_losses=True)
        return sum(penalties, loss(wanted, logits)), (others, ops.mean(_hits(wanted, logits)))

    @functools.partial(jax.jit, in_shardings=whole, out_shardings=whole)
    def step(state: Any, images: Any, wanted: Any) -> tuple[Any, Any]:
        trained, others, own = state
        images, wanted = jax.lax.with_sharding_constraint((images, wanted), shares)
        gradient = jax.value_and_grad(objective, has_aux=True)
        (value, (others, accuracy)), gradients = gradient(trained, others, images, wanted)
        trained, own = optimizer.stateless_apply(own, gradients, trained)
        return (trained, others, own), (value, accuracy)

    def run(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        state = tuple([np.asarray(variable.value) for variable in group] for group in variables)
        results, sizes = [], []
        with processes.lost_peers():
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size]
                state, result = step(state, batch, labels[start : start + batch_size])
                results.append(result)
                sizes.append(len(batch))
            state, results = jax.tree.map(np.asarray, (state, results))
        # Only now: where another process is lost, they are what they were before these steps.
        for variable, array in zip(itertools.chain(*variables), itertools.chain(*state), strict=True):
            variable.assign(array)
        return dict(zip(("loss", "accuracy"), np.average(results, axis=0, weights=sizes), strict=True))

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
