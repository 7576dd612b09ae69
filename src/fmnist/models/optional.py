"""The layers and the penalty that settings switch on in any family: normalisation, activation, dropout, L2."""

from __future__ import annotations

from keras import layers, regularizers

from fmnist.config import ModelConfig

# Of LeakyReLU.
NEGATIVE_SLOPE = 0.1
# Batch normalisation's averages must settle within some hundred steps.
MOMENTUM = 0.95


def normalization(config: ModelConfig, name: str) -> list[layers.Layer]:
    """Return what stands between a convolution and its activation: batch normalisation, or nothing."""
    return [layers.BatchNormalization(momentum=MOMENTUM, name=name)] if config.batch_normalization else []


def activation(config: ModelConfig, place: str) -> layers.Layer:
    """Return the activation of a place in the network, a block such as `1` or `2b`, or `hidden`."""
    name = f"hidden_{config.activation}" if place == "hidden" else f"{config.activation}_{place}"
    if config.activation == "leaky_relu":
        return layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE, name=name)
    return layers.ReLU(name=name) if config.activation == "relu" else layers.Activation(config.activation, name=name)


def dropout(rate: float, name: str) -> list[layers.Layer]:
    """Return dropout of a share (0 to 1) of the units, or nothing.

    Call it after all layers that draw weights are made: each layer that draws takes the next of Keras's global seeds,
    and dropout is to leave the first weights as they were.
    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    """
    return [layers.Dropout(rate, name=name)] if rate else []


def penalty(config: ModelConfig) -> regularizers.Regularizer | None:
    """Return what a kernel adds to the loss that is minimised: L2 times the sum of its squared weights, or nothing."""
    return regularizers.L2(config.l2) if config.l2 else None
