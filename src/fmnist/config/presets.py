"""The presets: whole configurations by name, and the flags in which a configuration differs from its preset."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from fmnist.config.families import FAMILIES
from fmnist.config.tree import SECTIONS, Config, leaves
from fmnist.errors import InputError, did_you_mean
from fmnist.text import plural

# The quick recipes: Muon, and a learning rate that rises once and falls to zero.
_ONE_CYCLE = {"optimizer": "muon", "learning_rate": 0.1, "schedule": "triangle", "warmup_fraction": 0.1}
_ONE_CYCLE |= {"label_smoothing": 0.1}
_LONG = _ONE_CYCLE | {"validation_fraction": 0.05, "flip": True, "flip_average": True}
_FAST = _ONE_CYCLE | {"family": "fast", "filters": (18, 64), "batch_size": 128, "validation_fraction": 1 / 12}
# `fast` is a run of 430 steps: in longer segments the learning rate would end on a stair.
_FAST |= {"segment_steps": 10}

# A row a preset: what it is, and the settings in which it differs from the defaults.
_RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": (
        "a small network with a whitening stem, ten epochs of mirrored and shifted images: above 93% in 1 to 2 minutes",
        _FAST | {"filters": (18, 16, 64), "epochs": 10, "flip": True, "shift": 1},
    ),
    "fast": (
        "a smaller one for one epoch: above 91.5% in seconds, and no learning curve to look at",
        _FAST | {"epochs": 1},
    ),
    "reference": (
        "three convolution blocks with LeakyReLU, 356,234 parameters, Adam, 20 epochs: it overfits, as a lesson",
        {},
    ),
    "accurate": (
        "six convolutions, 8 epochs of mirrored and shifted images, answers averaged over flips: minutes, not seconds",
        _LONG
        | {"family": "vgg", "filters": (18, 24, 64, 128), "epochs": 8, "batch_size": 192, "validation_fraction": 1 / 12}
        | {"shift": 1, "precision": "auto"},
    ),
    "best": (
        "six wider convolutions, 28 epochs of images with a square blanked out: under an hour",
        _LONG
        | {"family": "vgg", "filters": (18, 32, 96, 192), "epochs": 28, "batch_size": 192}
        | {"shift": 1, "erase": 0.3, "precision": "auto"},
    ),
    "best-gpu": (
        "a residual network of 17 convolutions, 250 epochs of mixed images: for a GPU, with KERAS_BACKEND=jax",
        _LONG
        | {"family": "residual", "filters": (18, 64, 128, 256, 512), "blocks": 2, "epochs": 250, "batch_size": 500}
        | {"optimizer": "sgd", "learning_rate": 0.4, "weight_decay": 5e-3, "precision": "auto"}
        | {"shift": 2, "random_erase": 0.5, "cutmix": 1.0, "unmixed": 0.5},
    ),
    "tiny": (
        "fewer than 100,000 parameters, for devices: six narrow convolutions, 40 epochs; give it a --teacher",
        _LONG
        | {"family": "vgg", "filters": (18, 24, 40, 64), "epochs": 40, "batch_size": 128}
        # A teacher that learnt smoothed labels has soft answers as it is.
        | {"shift": 1, "distillation_temperature": 1.0, "precision": "auto"},
    ),
    "micro": (
        "fewer than 10,000: separable convolutions around shortcuts, 40 epochs; give it a --teacher",
        # Images are not shifted: that makes them harder than so small a network has use for.
        _LONG
        | {"family": "residual", "separable": True, "filters": (18, 16, 26, 44), "epochs": 40, "batch_size": 128}
        | {"distillation_temperature": 1.0},
    ),
    "transfer": (
        "EfficientNet-Lite0 from ImageNet: its last layer on frozen features, then all of it for two epochs",
        {"family": "efficientnet_lite0", "weights": "imagenet", "dropout": 0.2, "validation_fraction": 1 / 12}
        | {"epochs": 12, "frozen_epochs": 10, "learning_rate": 5e-5, "schedule": "triangle"}
        # Its steps are long, and between segments is where a run can be stopped.
        | {"segment_steps": 10},
    ),
}
PRESETS = {
    name: (summary, Config(preset=name).with_overrides(**settings)) for name, (summary, settings) in _RECIPES.items()
}

# What the default preset takes over from so many seconds of time budget on, unless other settings are given: the
# network and augmentation that reached the best validation accuracy in that time on two cores.
WITH_TIME: tuple[tuple[float, dict[str, Any]], ...] = (
    (200, {"family": "vgg", "filters": (18, 32, 64, 128)}),
    (30, {"filters": (18, 16, 96)}),
    (0, {"filters": (18, 64), "flip": False, "shift": 0}),
)
DEFAULT_PRESET = "standard"

# What pictures of one's own are trained with where nothing else is asked for: the first row whose most training images
# and least side, in pixels, they keep to. Chosen by validation accuracy (benchmarks/own_pictures.py).
FITTING: tuple[tuple[float, int, str, str], ...] = (
    (1_000, 64, "transfer", "are few, so that what ImageNet taught helps most"),
    (5_000, 96, "transfer", "are few and large, so that what ImageNet taught helps most"),
    (math.inf, 0, DEFAULT_PRESET, "a small network learns by itself"),
)
# What `--target` chooses from: a mean test accuracy on Fashion-MNIST, in %, the preset that passes it soonest, and how
# long its whole command took (docs/results.md).
LADDER: tuple[tuple[float, str, str], ...] = (
    (91.23, "fast", "15 s on 2 cores"),
    (93, "standard", "1 to 2 minutes on 2 cores"),
    (94, "accurate", "7 minutes on 2 cores that multiply bfloat16"),
    (94.8, "best", "42 minutes on 2 cores that multiply bfloat16"),
    (95.5, "best-gpu", "5 minutes on an NVIDIA H100 with KERAS_BACKEND=jax (one seed); too much for a processor"),
)

# Steps that `standard` takes at least, in epochs of at most 100.
FEWEST_STEPS = 200


def preset(name: str = DEFAULT_PRESET, **overrides: Any) -> Config:
    """Return a preset, with the named settings replaced; `standard` suits network and augmentation to a `time_budget`.

    Args:
        name: a key of `PRESETS`.
        overrides: settings by their leaf names, e.g. `epochs=5`.

    Raises:
        InputError: the preset or a setting is unknown, or a value is not valid.
    """
    if name not in PRESETS:
        raise InputError(
            f"no preset is named '{name}'; expected one of {', '.join(PRESETS)}{did_you_mean(name, list(PRESETS))}"
        )
    suited = _suited(name, overrides.get("time_budget"))
    if {"family", "filters"} & overrides.keys():  # a network of the user's own; half of ours would be neither
        suited = {name: value for name, value in suited.items() if name not in ("family", "filters")}
    return PRESETS[name][1].with_overrides(**suited | overrides)


def rung(target: float) -> tuple[float, str, str]:
    """Return the first row of `LADDER` that reaches a mean test accuracy on Fashion-MNIST, in %.

    Raises:
        InputError: none does.
    """
    for row in LADDER:
        if target <= row[0]:
            return row
    raise InputError(
        f"target: got {target:g}%, expected at most {LADDER[-1][0]:g}, the most that a preset reaches here in the mean "
        f"over seeds; the rungs are {', '.join(f'{row[0]:g}' for row in LADDER)}"
    )


def fitting(
    num_images: int, image_shape: Sequence[int], *, without: Collection[str] = ()
) -> tuple[str, dict[str, Any], str]:
    """Return the preset that fits a data set, the settings in which its run differs from it, and why it fits.

    Args:
        num_images: training images, those for validation included.
        image_shape: height and width, in pixels, and channels.
        without: presets that are not to be had.
    """
    side = max(image_shape[:2])
    rows = (row for row in FITTING if num_images <= row[0] and side >= row[1] and row[2] not in without)
    _, _, name, reason = next(rows)
    recipe = PRESETS[name][1]
    steps = math.ceil(num_images * (1 - recipe.data.validation_fraction) / recipe.training.batch_size)
    epochs = min(100, math.ceil(FEWEST_STEPS / steps))
    longer = {"epochs": epochs} if name == DEFAULT_PRESET and epochs > recipe.training.epochs else {}
    return name, longer, reason


def _suited(name: str, budget: Any) -> dict[str, Any]:
    """Return the settings that a preset takes over from `WITH_TIME`."""
    if name != DEFAULT_PRESET or not isinstance(budget, (int, float)):
        return {}
    return next((settings for least, settings in WITH_TIME if budget >= least), {})


# Sections that files written by earlier versions lack.
NEWER_SECTIONS = ("transfer", "distillation")


def restore(values: dict[str, Any]) -> Config:
    """Rebuild a configuration from `Config.to_dict`; keys which are not settings (facts of the run) are ignored.

    Raises:
        InputError: a section is missing or is not a mapping, or a setting is unknown or not valid.
    """
    if not isinstance(values, dict):
        raise InputError(f"a configuration must be a mapping of sections, got {type(values).__name__}")
    given: dict[str, Any] = {name: {} for name in NEWER_SECTIONS} | values
    if broken := [name for name in SECTIONS if not isinstance(given.get(name), dict)]:
        raise InputError(f"the configuration lacks {plural(len(broken), 'section')}: {', '.join(broken)}")
    flat = {leaf: value for name in SECTIONS for leaf, value in given[name].items()}
    if flat.get("family") in [name for name, row in FAMILIES.items() if "image_size" not in row.settings]:
        flat.pop("image_size", None)  # which earlier versions took for every family, to no effect
    name = str(values.get("preset", "custom"))
    # A setting that came after the file was written has the value of the file's preset.
    return (PRESETS[name][1] if name in PRESETS else Config(preset=name)).with_overrides(**flat)


def command_flags(config: Config) -> list[list[str]]:
    """Return `--preset NAME`, then the flag of each setting that differs from the preset's, each as a list of words."""
    name = config.preset if config.preset in PRESETS else "reference"
    usual, suited = leaves(preset(name)), _suited(name, config.training.time_budget)
    flags = [["--preset", name]]
    for leaf, value in leaves(config).items():
        if value == usual[leaf] == suited.get(leaf, value):
            continue
        flag = leaf.replace("_", "-")
        if isinstance(value, bool):
            flags.append([f"--{flag}" if value else f"--no-{flag}"])
        else:
            flags.append([f"--{flag}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)])
    return flags
