"""The settings of the network: its family and sizes, and what it starts from. Part of the tree in `config`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fmnist.config.fields import setting
from fmnist.errors import InputError

# What each network family has where the settings of the same name are left open.
FAMILIES: dict[str, dict[str, Any]] = {
    "reference": {"activation": "leaky_relu", "batch_normalization": False},
    "fast": {"activation": "relu", "batch_normalization": True},
    "vgg": {"activation": "relu", "batch_normalization": True},
    "residual": {"activation": "relu", "batch_normalization": True},
    "efficientnet_lite0": {},
    "mobilenet_v2": {},
}
WITHOUT_HIDDEN_LAYER = ("vgg", "residual")
# Families whose architecture is fixed, so that weights learnt elsewhere fit; the settings that they leave no choice in.
BACKBONES = ("efficientnet_lite0", "mobilenet_v2")
SIZES = ("filters", "kernel_size", "activation", "batch_normalization")
# Settings of the residual family alone.
RESIDUAL = ("blocks", "squeeze_excite", "separable", "stem_pooling")


@dataclass(frozen=True)
class ModelConfig:
    """The network: a family (one file in `fmnist/models`), its sizes, and what keeps it from overfitting."""

    family: str = setting("reference", "Network family.", choices=tuple(FAMILIES))
    filters: tuple[int, ...] = setting((32, 64, 128), "Filters of each convolution block.", minimum=1, maximum=4096)
    kernel_size: int = setting(3, "Side of the convolution kernels, in pixels.", minimum=1, maximum=15)
    blocks: int | tuple[int, ...] = setting(
        1, "Blocks of each stage of a residual network: one number for all, or one for each.", minimum=1, maximum=100
    )
    squeeze_excite: int = setting(
        0,
        "Weigh a residual block's channels by their means, through a layer so many times narrower; 0: don't.",
        minimum=0,
        maximum=64,
    )
    separable: bool = setting(
        False, "Split a residual network's convolutions: each channel by itself, then across: far fewer weights."
    )
    stem_pooling: bool = setting(False, "Halve the image behind a residual network's stem, not only between stages.")
    activation: str | None = setting(
        None,
        "Activation of the blocks and of the hidden layer [default: the family's own].",
        choices=("leaky_relu", "relu", "silu", "gelu"),
    )
    batch_normalization: bool | None = setting(
        None, "Normalise between convolution and activation [default: as the family does]."
    )
    dropout: float | tuple[float, ...] = setting(
        0.0,
        "Share of the units switched off at random in training, after each block and the hidden layer: one number for "
        "all, or one for each (0.1,0.1,0.1,0.5).",
        minimum=0.0,
        maximum=0.95,
    )
    l2: float = setting(0.0, "Penalty on the loss: L2 times the sum of all squared kernel weights.", minimum=0.0)
    image_size: int = setting(
        96, "Side to which a pre-trained family enlarges the images, in pixels.", minimum=32, maximum=512
    )
    flip_average: bool = setting(
        False, "The saved network averages its logits over each image and its mirror image; training costs the same."
    )

    def resolved(self) -> ModelConfig:
        """Return a copy in which the family's own values stand where a setting was left open."""
        own = {name: value for name, value in FAMILIES[self.family].items() if getattr(self, name) is None}
        return replace(self, **own)

    def block_counts(self) -> tuple[int, ...]:
        """Return the number of residual blocks of each stage.

        Raises:
            InputError: a list of another length is given.
        """
        counts, stages = self.blocks, len(self.filters) - 1
        if not isinstance(counts, tuple):
            return (counts,) * stages
        if len(counts) != stages:
            raise InputError(f"blocks: got {len(counts)} numbers, expected one for all, or {stages} for the stages")
        return counts

    def dropout_rates(self) -> tuple[float, ...]:
        """Return the dropout of each block and, last, of the hidden layer where the family has one.

        Raises:
            InputError: a list of another length is given.
        """
        rates, blocks = self.dropout, len(self.filters)
        count = 1 if self.family in BACKBONES else blocks + (self.family not in WITHOUT_HIDDEN_LAYER)
        if not isinstance(rates, tuple):
            return (rates,) * count
        if len(rates) != count and self.family in BACKBONES:
            raise InputError(f"dropout: got {len(rates)} numbers, expected one, for before {self.family}'s last layer")
        if len(rates) != count:
            hidden = " and one for the hidden layer" if count > blocks else ""
            raise InputError(
                f"dropout: got {len(rates)} numbers, expected one for all, or {blocks} for the blocks{hidden}"
            )
        return rates


@dataclass(frozen=True)
class TransferConfig:
    """What a network knows beforehand, and how much of that is kept."""

    weights: str = setting(
        "fresh",
        "A pre-trained family's first weights: fresh, imagenet (efficientnet_lite0's come in a Python package, "
        "mobilenet_v2's by download), or the file that holds them.",
    )
    initial_weights: str | None = setting(
        None, "Start from the weights of this run of the same network; other classes get a fresh last layer."
    )
    frozen_epochs: int = setting(
        0,
        "Train only the last layer in the first N epochs, on features that are computed once, without augmentation.",
        minimum=0,
        maximum=100_000,
    )
    head_learning_rate: float = setting(1e-3, "Learning rate of these epochs, constant.", minimum=0.0)
    fine_tuned_blocks: int | None = setting(
        None,
        "Blocks of a pre-trained network that are trained after them, from the last one [default: all].",
        minimum=1,
    )
