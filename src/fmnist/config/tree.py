"""All settings of a run: one frozen, validated tree. Knows no preset, no Keras, and reads no files.

Every leaf name is unique in the tree, so an override, a command-line flag and a line of `config.json` say the same
thing: `preset("reference", epochs=5)` is `fmnist train --preset reference --epochs 5`.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from fmnist.config.data import DataConfig
from fmnist.config.families import FAMILIES
from fmnist.config.fields import Range, problem, setting
from fmnist.config.model import ModelConfig, TransferConfig
from fmnist.config.training import TrainingConfig
from fmnist.errors import InputError, did_you_mean, listed

_ALPHA: dict[str, Any] = {"minimum": 0.0, "maximum": 10.0, "search": Range(0.0, 1.0)}


@dataclass(frozen=True)
class AugmentationConfig:
    """What happens to each training image before each epoch."""

    flip: bool = setting(False, "Mirror half of the images, another half each epoch.", common=True)
    shift: int = setting(
        0,
        "Shift each image by up to N pixels in both directions.",
        minimum=0,
        maximum=8,
        common=True,
        search=Range(0, 3),
    )
    rotation: float = setting(
        0.0,
        "Rotate each image by up to N degrees in either direction.",
        minimum=0.0,
        maximum=180.0,
        search=Range(0.0, 20.0),
    )
    zoom: float = setting(
        0.0, "Enlarge or shrink each image by up to this share.", minimum=0.0, maximum=0.9, search=Range(0.0, 0.3)
    )
    erase: float = setting(
        0.0,
        "Blank out a square in each image; its side is this share of the image's.",
        minimum=0.0,
        maximum=1.0,
        common=True,
        search=Range(0.0, 0.5),
    )
    random_erase: float = setting(
        0.0,
        "Fill a rectangle of this share of the images with noise, 2 to 30% of the area.",
        minimum=0.0,
        maximum=1.0,
        search=Range(0.0, 0.6),
    )
    mixup: float = setting(
        0.0, "Blend each image and its label with another one; α of the shares' Beta distribution.", **_ALPHA
    )
    cutmix: float = setting(
        0.0, "Put a rectangle of another image into each, and as much of its label; α of the shares.", **_ALPHA
    )
    unmixed: float = setting(
        0.0, "Share of the images that mixup and CutMix leave as they are.", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class DistillationConfig:
    """Whether another network teaches this one, beside the labels."""

    teacher: str | None = setting(
        None,
        "Learn from the answers of this finished run, or of a .keras file, as well as from the labels.",
        common=True,
    )
    distillation_weight: float = setting(
        0.9,
        "With a teacher: its share of the loss; the labels have the rest.",
        minimum=0.0,
        maximum=1.0,
        search=Range(0.3, 1.0),
    )
    distillation_temperature: float = setting(
        4.0,
        "With a teacher: the temperature that divides its logits and the network's.",
        minimum=0.1,
        maximum=100.0,
        search=Range(1.0, 10.0, log=True),
    )


@dataclass(frozen=True)
class EngineConfig:
    """How the work is done, on which threads and in which portions."""

    threads: int = setting(
        0, "Processor threads for the arithmetic; 0 takes every core.", minimum=0, maximum=1024, common=True
    )
    segment_steps: int = setting(
        50,
        "Steps of a segment: between segments the learning rate moves, and a run can be stopped.",
        minimum=1,
        maximum=10_000,
    )
    precision: str = setting(
        "float32",
        "Arithmetic of the training steps. bfloat16 costs some accuracy; it is quicker where the hardware multiplies "
        "it natively, and several times slower elsewhere. auto takes it where it is quicker. Weights, loss and the "
        "saved model stay float32.",
        choices=("float32", "bfloat16", "auto"),
    )
    deterministic: bool = setting(
        False,
        "Use only operations that repeat to the bit on a GPU too, where the backend has them; they are slower there. "
        "On a processor all operations repeat.",
    )


@dataclass(frozen=True)
class Config:
    """All settings of a run. Build one with `preset`; change one with `with_overrides`."""

    preset: str = "reference"
    data: DataConfig = field(default_factory=DataConfig, metadata={"title": "Data"})
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"title": "Network"})
    training: TrainingConfig = field(default_factory=TrainingConfig, metadata={"title": "Recipe"})
    transfer: TransferConfig = field(default_factory=TransferConfig, metadata={"title": "Transfer"})
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig, metadata={"title": "Augmentation"})
    distillation: DistillationConfig = field(default_factory=DistillationConfig, metadata={"title": "Distillation"})
    engine: EngineConfig = field(default_factory=EngineConfig, metadata={"title": "Engine"})

    def __post_init__(self) -> None:
        """Check every field of the tree; one `InputError` tells all problems."""
        problems = [
            f"{name}: {text}"
            for name, value in leaves(self).items()
            if (text := problem(leaf_fields()[name][1], leaf_type(name), value))
        ]
        if problems := problems or self._conflicts():
            raise InputError(listed("the configuration is not valid", problems))
        self.model.dropout_rates()
        self.model.block_counts()

    def pretrained(self) -> bool:
        """Whether the network starts from weights learnt elsewhere."""
        return self.transfer.weights != "fresh" or self.transfer.initial_weights is not None

    def _conflicts(self) -> list[str]:
        """Return settings that don't go together."""
        family, transfer, problems = self.model.family, self.transfer, self.model.conflicts()
        if not FAMILIES[family].pretrained and (transfer.weights != "fresh" or transfer.fine_tuned_blocks is not None):
            name = "weights" if transfer.weights != "fresh" else "fine_tuned_blocks"
            known = " or ".join(name for name, row in FAMILIES.items() if row.pretrained)
            problems.append(f"{name}: only for a pre-trained family, {known}; got {family}")
        if transfer.frozen_epochs and not self.pretrained():
            problems.append("frozen_epochs: nothing has been learnt yet that could be kept; set weights as well")
        if self.training.optimizer == "adam" and self.training.weight_decay:
            problems.append("weight_decay: adam has none; take `optimizer='adamw'`, or `l2` for a penalty on the loss")
        whole = (
            ("flip_average", self.model.flip_average, "`flip_average=False`"),
            ("ema_decay", self.training.ema_decay, "`ema_decay=0`"),
            ("teacher", self.distillation.teacher, "no `teacher`"),
        )
        for name, value, off in whole:
            if value and transfer.frozen_epochs:
                problems.append(f"{name}: only for a whole network; take {off}, or `frozen_epochs=0`")
        if self.data.folds and self.training.early_stopping:
            problems.append("early_stopping: it would choose the epoch by the images that are held out; leave it out")
        if self.data.fold is not None and self.data.fold >= self.data.folds:
            expected = f"0 to {self.data.folds - 1}" if self.data.folds else "`folds` as well"
            problems.append(f"fold: got {self.data.fold}, expected {expected}")
        return problems

    def with_overrides(self, **overrides: Any) -> Config:
        """Return a copy with the named leaf fields replaced, e.g. `with_overrides(epochs=5, seed=1)`.

        Raises:
            InputError: no field has that name, or a value is not valid.
        """
        known = leaf_fields()
        if unknown := [name for name in overrides if name not in known]:
            told = (f"no setting is named '{name}'{did_you_mean(name, list(known))}" for name in unknown)
            raise InputError("; ".join(told))
        changed: dict[str, dict[str, Any]] = {}
        for name, value in overrides.items():
            changed.setdefault(known[name][0], {})[name] = tuple(value) if isinstance(value, list) else value
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in changed.items()})

    def resolved(self) -> Config:
        """Return a copy in which what was left to the network's family is filled in."""
        return replace(self, model=self.model.resolved())

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain dictionaries, lists and numbers, ready for JSON."""
        return dataclasses.asdict(self)


SECTIONS = tuple(spec.name for spec in fields(Config) if spec.name != "preset")


@cache
def leaf_fields() -> dict[str, tuple[str, dataclasses.Field[Any]]]:
    """Return every setting by its name: the section it lies in and its declaration. Flags are generated from this."""
    return {leaf.name: (section, leaf) for section in SECTIONS for leaf in fields(_hints(Config)[section])}


def leaves(config: Config) -> dict[str, Any]:
    """Return every setting's value by its name."""
    return {name: getattr(getattr(config, section), name) for name, (section, _) in leaf_fields().items()}


def leaf_title(name: str) -> str:
    """Return the title of the section that a setting lies in."""
    return str(Config.__dataclass_fields__[leaf_fields()[name][0]].metadata["title"])


def leaf_type(name: str) -> Any:
    """Return the annotated type of a setting, e.g. `int`, `float | None` or `tuple[int, ...]`."""
    return _hints(_hints(Config)[leaf_fields()[name][0]])[name]


_hints = cache(typing.get_type_hints)  # of a section, by the settings' names
