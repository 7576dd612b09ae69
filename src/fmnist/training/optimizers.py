"""Builds the optimizers, and gives the learning rate over a run."""

from typing import Any

import keras
from keras import ops

from fmnist.config import TrainingConfig

# The layers whose weights give the classes; Muon leaves them to Adam.
OUTPUT_LAYERS = ("logits", "probabilities")


def learning_rate(config: TrainingConfig, done: float) -> float:
    """Return the learning rate when a share `done` (0 to 1) of the run's steps lies behind.

    The triangle rises in a straight line to its peak and falls in a straight line to zero.
    Source: L. N. Smith and N. Topin, "Super-convergence", 2018 (one cycle, without its last phase).
    """
    if config.schedule == "constant":
        return config.learning_rate
    up = done / config.warmup_fraction if config.warmup_fraction else 1.0
    down = (1 - done) / (1 - config.warmup_fraction) if config.warmup_fraction < 1 else 1.0
    return config.learning_rate * min(up, down, 1.0)


def build(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Build the optimizer; its learning rate is set anew before each segment of steps."""
    rate = config.learning_rate
    decay = config.weight_decay or None
    if config.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    if config.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    if config.optimizer == "muon":
        return ConvolutionMuon(
            rate,
            adam_lr_ratio=config.adam_learning_rate / rate if rate else 0.0,
            momentum=config.momentum,
            weight_decay=decay,
            adam_weight_decay=decay,
            exclude_layers=OUTPUT_LAYERS,
        )
    return keras.optimizers.SGD(rate, momentum=config.momentum, nesterov=True, weight_decay=decay)


@keras.saving.register_keras_serializable("fmnist")
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, which knows matrices only, for convolution kernels as well; the rest is left to Adam.

    A kernel (height, width, inputs, filters) is a matrix of height × width × inputs rows and a column a filter; one
    that works on each channel by itself (height, width, inputs, 1) is none, and is Adam's as well. The
    update is the nearest orthogonal matrix to the Nesterov momentum, by Newton–Schulz steps on the smaller of its two
    Gram matrices, so that a step costs little beside the convolutions.

    Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        hidden = len(variable.shape) in (2, 4) and variable.path.endswith("kernel") and variable.shape[-1] > 1
        return not hidden or any(name in variable.path for name in self.exclude_layers)

    def _apply_weight_decay(self, variables: Any) -> None:
        if self.weight_decay is not None:  # Keras 3.15's Muon forgets to ask
            super()._apply_weight_decay(variables)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        momentum = self.momentum * m + gradient
        self.assign(m, momentum)
        matrix = ops.reshape(gradient + self.momentum * momentum, (-1, variable.shape[-1]))
        rows, columns = matrix.shape
        direction = ops.reshape(self._orthogonal(matrix), variable.shape)
        self.assign_sub(variable, ops.cast(lr, variable.dtype) * max(1.0, columns / rows) ** 0.5 * direction)

    def _orthogonal(self, matrix: Any) -> Any:
        """Return the nearest matrix with singular values near 1: matrix × p(gram); p(gram) × matrix if it is wide."""
        matrix = matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + 1e-7)
        tall = matrix.shape[0] >= matrix.shape[1]
        transposed = ops.transpose(matrix)
        gram = ops.matmul(transposed, matrix) if tall else ops.matmul(matrix, transposed)
        identity, product = ops.eye(min(matrix.shape)), None
        for step in range(self.ns_steps):
            factor = self.muon_a * identity + self.muon_b * gram + self.muon_c * ops.matmul(gram, gram)
            product = factor if product is None else ops.matmul(product, factor)
            if step < self.ns_steps - 1:
                gram = ops.matmul(ops.matmul(factor, gram), factor)
        return ops.matmul(matrix, product) if tall else ops.matmul(product, matrix)
