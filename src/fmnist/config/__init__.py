"""What a run is told: every setting, its range and its help text, and the presets. Knows no Keras; reads no files."""

from fmnist.config.fields import kinds
from fmnist.config.model import BACKBONES, WITHOUT_HIDDEN_LAYER, ModelConfig
from fmnist.config.presets import PRESETS, command_flags, preset, restore
from fmnist.config.tree import (
    SECTIONS,
    AugmentationConfig,
    Config,
    EngineConfig,
    TrainingConfig,
    leaf_fields,
    leaf_type,
    leaves,
)

__all__ = [
    "BACKBONES",
    "PRESETS",
    "SECTIONS",
    "WITHOUT_HIDDEN_LAYER",
    "AugmentationConfig",
    "Config",
    "EngineConfig",
    "ModelConfig",
    "TrainingConfig",
    "command_flags",
    "kinds",
    "leaf_fields",
    "leaf_type",
    "leaves",
    "preset",
    "restore",
]
