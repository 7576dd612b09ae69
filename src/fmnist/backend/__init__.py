"""Everything that differs by Keras backend or processor."""

from fmnist.backend.arithmetic import arithmetic, fused_normalization
from fmnist.backend.processes import any_of_all, check_same, clock, join, leave, of_first
from fmnist.backend.setup import expect_many_models, prepare, silent_stderr
from fmnist.backend.steps import Predictor, Steps

__all__ = [
    "Predictor",
    "Steps",
    "any_of_all",
    "arithmetic",
    "check_same",
    "clock",
    "expect_many_models",
    "fused_normalization",
    "join",
    "leave",
    "of_first",
    "prepare",
    "silent_stderr",
]
