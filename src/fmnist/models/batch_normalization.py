"""Batch normalisation: Keras's layer, and its twin for training, which is one operation of the backend.

Source: S. Ioffe and C. Szegedy, "Batch normalization", 2015.
"""

from collections.abc import Callable
from typing import Any

from keras import layers, ops

from fmnist import backend

# The moving averages must settle within some hundred steps.
MOMENTUM = 0.95


def batch_normalization(**settings: Any) -> layers.BatchNormalization:
    """Return the layer; where a network for training is built, and the backend has the operation, the fused twin."""
    operation = backend.fused_normalization()
    settings = {"momentum": MOMENTUM} | settings
    return FusedBatchNormalization(operation, **settings) if operation else layers.BatchNormalization(**settings)


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's layer, with the same variables and the same results up to rounding, in one operation while it trains.

    Keras's own takes a pass over memory for the cast to float32, the mean, the variance, the scaling and the cast back
    each, and again as many for the gradient.
    """

    def __init__(self, operation: Callable[..., tuple[Any, Any, Any]], **settings: Any) -> None:
        """Take what `backend.fused_normalization` returns, and the settings of Keras's layer."""
        super().__init__(**settings)
        self._operation = operation

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise images, (N, H, W, C) of any precision, and move the averages; in inference as Keras does."""
        is_fused = training and self.trainable and backend.is_fused_quicker(inputs.shape[-1], self.compute_dtype)
        if not is_fused:
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta)
        outputs, mean, variance = self._operation(inputs, gamma, beta, self.epsilon)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return outputs
