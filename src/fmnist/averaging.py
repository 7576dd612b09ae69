"""An exponential moving average of a network's weights over its training steps. Holds nothing: the arrays are given.

The averages of batch normalisation are weights here as well, so that they belong to the average network.
Source: B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", 1992, for averages;
M. Tan and Q. V. Le, "EfficientNet", 2019, for exponential ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def follow(average: Sequence[np.ndarray], weights: Sequence[np.ndarray], decay: float, steps: int, done: int) -> None:
    """Move an average, in place, to where some steps with the same weights would have brought it.

    Called once a segment, not once a step: the weights within the segment are left out.

    Args:
        average: float32 arrays.
        weights: those of the network now, in the same order and shapes.
        decay: of a step, 0 to 1; smaller in the first steps, so that the fresh weights are soon forgotten.
        steps: how many were taken since the last call.
        done: steps of the run up to now.
    """
    kept = np.float32(min(decay, (1 + done) / (10 + done)) ** steps)
    for mean, array in zip(average, weights, strict=True):
        mean *= kept
        mean += (1 - kept) * array
