"""All settings of a run, with their ranges and help texts, and the presets. Knows no Keras; reads no files."""

from fmnist.config.families import FAMILIES
from fmnist.config.fields import Range, Search, kinds
from fmnist.config.model import ModelConfig
from fmnist.config.presets import DEFAULT_PRESET, PRESETS, command_flags, fitting, preset, restore, rung
from fmnist.config.training import TrainingConfig
from fmnist.config.tree import (
    SECTIONS,
    AugmentationConfig,
    Config,
    EngineConfig,
    leaf_fields,
    leaf_title,
    leaf_type,
    leaves,
)

__all__ = [
    "DEFAULT_PRESET", "FAMILIES", "PRESETS", "SECTIONS", "AugmentationConfig", "Config", "EngineConfig", "ModelConfig",
    "Range", "Search", "TrainingConfig", "command_flags", "fitting", "kinds", "leaf_fields", "leaf_title", "leaf_type",
    "leaves", "preset", "restore", "rung",
]  # fmt: skip
