"""Networks of inverted bottlenecks with ReLU6, from a list of their groups of blocks.

Source: M. Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", 2018.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from fmnist.config import ModelConfig
from fmnist.data.shape import Shape
from fmnist.models import parts
from fmnist.models.batch_normalization import batch_normalization

STEM_FILTERS, FEATURES = 32, 1280
EPSILON = 1e-3


@dataclass(frozen=True)
class Group:
    """Blocks of a kind: the first one has the stride, the others 1."""

    count: int
    kernel: int
    stride: int
    expansion: int
    filters: int


def build(
    name: str,
    groups: tuple[Group, ...],
    centring: tuple[float, float],
    config: ModelConfig,
    image_shape: Shape,
    num_classes: int,
    activation: str | None,
) -> keras.Model:
    """Build one with fresh weights; the images are enlarged to `image_size` inside.

    `centring` is the scale and the offset from [0, 1] to the values that its pre-trained weights expect.
    """
    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = parts.called(layers.Resizing(config.image_size, config.image_size, name="resizing"), x)
    x = layers.Rescaling(centring[0], offset=centring[1], name="centring")(x)
    x = _convolution(config, x, "stem", STEM_FILTERS, 3, stride=2)
    blocks = [(group, 1 if position else group.stride) for group in groups for position in range(group.count)]
    for number, (group, stride) in enumerate(blocks):
        x = _block(config, x, f"block_{number}", group, stride)
    x = _convolution(config, x, "top", FEATURES, 1)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    logits, (rate,) = parts.logits(config, num_classes), config.dropout_rates()
    x = parts.in_turn([*parts.dropout(rate, "dropout"), logits], x)
    if activation:
        x = layers.Activation(activation, name="probabilities")(x)
    return keras.Model(image, x, name=name)


def stem_kernel(kernel: np.ndarray, model: keras.Model) -> np.ndarray:
    """Return a stem's kernel, (h, w, 3, filters), as a network takes it.

    For grey images it is summed over the colours, which gives what three equal ones would.
    """
    return kernel if model.input_shape[-1] == 3 else kernel.sum(axis=2, keepdims=True)


def _block(config: ModelConfig, x: Any, name: str, group: Group, stride: int) -> Any:
    """Widen by a 1×1 convolution, filter each channel by itself, narrow again; add the input where it fits."""
    before, width = x, x.shape[-1]
    if group.expansion > 1:
        x = _convolution(config, x, f"{name}_expansion", group.expansion * width, 1)
    settings = {"strides": stride, "padding": "same", "use_bias": False, "name": f"{name}_depthwise"}
    x = layers.DepthwiseConv2D(group.kernel, depthwise_regularizer=parts.penalty(config), **settings)(x)
    x = _normalized(x, f"{name}_depthwise")
    x = _convolution(config, x, f"{name}_projection", group.filters, 1, relu=False)
    return layers.Add(name=f"{name}_sum")([before, x]) if stride == 1 and group.filters == width else x


def _convolution(
    config: ModelConfig, x: Any, name: str, filters: int, kernel: int, *, stride: int = 1, relu: bool = True
) -> Any:
    settings = {"strides": stride, "padding": "same", "use_bias": False, "name": name}
    x = layers.Conv2D(filters, kernel, kernel_regularizer=parts.penalty(config), **settings)(x)
    return _normalized(x, name, relu=relu)


def _normalized(x: Any, name: str, *, relu: bool = True) -> Any:
    x = batch_normalization(epsilon=EPSILON, name=f"{name}_normalization")(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu")(x) if relu else x
