"""The settings of the network: its family, its sizes, and the weights that it starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fmnist.config.families import FAMILIES
from fmnist.config.fields import Range, setting
from fmnist.errors import InputError

_IMAGENET = ", ".join(f"{name}'s {family.imagenet}" for name, family in FAMILIES.items() if family.pretrained)


@dataclass(frozen=True)
class ModelConfig:
    """The network: its family, its sizes, and what keeps it from overfitting."""

    family: str = setting("reference", "Network family.", choices=tuple(FAMILIES), common=True)
    filters: tuple[int, ...] = setting(
        (32, 64, 128), "Filters of each convolution block.", minimum=1, maximum=4096, common=True
    )
    kernel_size: int = setting(
        3, "Side of the convolution kernels, in pixels.", minimum=1, maximum=15, search=(3, 5, 7)
    )
    blocks: int | tuple[int, ...] = setting(
        1, "Blocks of each stage of a residual network: one number for all, or one for each.", minimum=1, maximum=100
    )
    squeeze_excite: int = setting(
        0,
        "Weigh a residual block's channels by their means, through a layer N times narrower; 0: do not.",
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
        common=True,
        search=Range(0.0, 0.6),
    )
    l2: float = setting(
        0.0,
        "Penalty on the loss: L2 times the sum of all squared kernel weights.",
        minimum=0.0,
        search=Range(1e-6, 1e-2, log=True),
    )
    image_size: int = setting(
        96, "Side to which a pre-trained family enlarges the images, in pixels.", minimum=32, maximum=512
    )
    flip_average: bool = setting(
        False, "The saved network averages its logits over each image and its mirror image; training costs the same."
    )

    def resolved(self) -> ModelConfig:
        """Return a copy in which the family's own values stand where a setting was left open."""
        row = FAMILIES[self.family]
        names = [name for name in ("activation", "batch_normalization") if name in row.settings]
        return replace(self, **{name: getattr(row, name) for name in names if getattr(self, name) is None})

    def conflicts(self) -> list[str]:
        """Return a sentence for each setting that differs from its default though the family hasn't got it."""
        own, usual = FAMILIES[self.family], vars(ModelConfig())
        # What is in no row, every family has.
        owners = {name: [family for family, row in FAMILIES.items() if name in row.settings] for name in usual}
        hint = ", which has its own; take the preset transfer, leave it out, or take another `family`"
        return [
            f"{name}: only for the family {' or '.join(families)}; got {self.family}{hint if own.pretrained else ''}"
            for name, families in owners.items()
            if families and name not in own.settings and getattr(self, name) != usual[name]
        ]

    def block_counts(self) -> tuple[int, ...]:
        """Return the number of residual blocks of each stage, or raise `InputError` for a list of another length."""
        stages = len(self.filters) - 1
        return _one_each("blocks", self.blocks, stages, f"one for all, or {stages} for the stages")

    def dropout_rates(self) -> tuple[float, ...]:
        """Return the dropout of each block and of the hidden layer, if any, or raise `InputError` likewise."""
        blocks, row = len(self.filters), FAMILIES[self.family]
        if row.pretrained:
            return _one_each("dropout", self.dropout, 1, f"one, for before {self.family}'s last layer")
        hidden = " and one for the hidden layer" if row.hidden_layer else ""
        expected = f"one for all, or {blocks} for the blocks{hidden}"
        return _one_each("dropout", self.dropout, blocks + row.hidden_layer, expected)


def _one_each(name: str, given: Any, count: int, expected: str) -> tuple[Any, ...]:
    """Return `count` numbers: those that are given, or the same one for all."""
    numbers = given if isinstance(given, tuple) else (given,) * count
    if len(numbers) != count:
        raise InputError(f"{name}: got {len(numbers)} numbers, expected {expected}")
    return numbers


@dataclass(frozen=True)
class TransferConfig:
    """What a network knows beforehand, and how much of that is kept."""

    weights: str = setting(
        "fresh", f"A pre-trained family's first weights: fresh, imagenet ({_IMAGENET}), or the file that holds them."
    )
    initial_weights: str | None = setting(
        None,
        "Start from the weights of this run of the same network; other classes get a fresh last layer.",
        common=True,
    )
    frozen_epochs: int = setting(
        0,
        "Train only the last layer in the first N epochs, on features that are computed once, without augmentation.",
        minimum=0,
        maximum=100_000,
    )
    head_learning_rate: float = setting(
        1e-3,
        "Learning rate of these epochs, constant.",
        minimum=0.0,
        search=Range(0.1, 10, log=True, relative=True),
    )
    fine_tuned_blocks: int | None = setting(
        None,
        "Blocks of a pre-trained network that are trained after them, from the last one [default: all].",
        minimum=1,
    )
