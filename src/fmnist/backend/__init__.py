"""Everything that differs by Keras backend or processor."""

from fmnist.backend.arithmetic import (
    arithmetic,
    fused_normalization,
    is_fused_quicker,
    multiplies_bfloat16,
    precision,
)
from fmnist.backend.processes import any_of_all, check_same, clock, join, leave, of_first
from fmnist.backend.setup import expect_many_models, prepare, silent_stderr
from fmnist.backend.steps import Predictor, Steps

__all__ = [
    "Predictor", "Steps", "any_of_all", "arithmetic", "check_same", "clock", "expect_many_models",
    "fused_normalization", "is_fused_quicker", "join", "leave", "multiplies_bfloat16", "of_first", "precision",
    "prepare", "silent_stderr",
]  # fmt: skip
