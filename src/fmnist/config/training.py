"""The settings of the recipe: how long, how fast, by which rule."""

from __future__ import annotations

from dataclasses import dataclass

from fmnist.config.fields import Range, setting


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe: how long, how fast, by which rule."""

    epochs: int = setting(20, "Passes over the training images.", minimum=1, maximum=100_000, common=True)
    time_budget: float | None = setting(
        None,
        "Longest time that training may take (90s, 10m); preset standard also chooses its network by it.",
        minimum=1.0,
        common=True,
    )
    batch_size: int = setting(
        64, "Training images per step.", minimum=1, maximum=65_536, common=True, search=Range(32, 512, log=True)
    )
    optimizer: str = setting("adam", "Optimizer.", choices=("adam", "adamw", "sgd", "muon"))
    learning_rate: float = setting(
        1e-3,
        "Learning rate; the highest one where the schedule varies it.",
        minimum=0.0,
        common=True,
        search=Range(0.1, 10, log=True, relative=True),
    )
    schedule: str = setting(
        "constant",
        "Learning rate over the run: constant, or a straight rise and fall (triangle).",
        choices=("constant", "triangle"),
    )
    warmup_fraction: float = setting(
        0.2, "Share of the steps in which the triangle rises.", minimum=0.0, maximum=1.0, search=Range(0.0, 0.5)
    )
    adam_learning_rate: float = setting(
        4e-3,
        "With muon: learning rate of Adam, which trains all but the hidden kernels.",
        minimum=0.0,
        search=Range(0.1, 10, log=True, relative=True),
    )
    momentum: float = setting(
        0.9, "Nesterov momentum of sgd and muon.", minimum=0.0, maximum=0.9999, search=Range(0.5, 0.99)
    )
    weight_decay: float = setting(
        0.0,
        "Decoupled weight decay of adamw, sgd and muon.",
        minimum=0.0,
        maximum=1.0,
        search=Range(1e-5, 0.1, log=True),
    )
    ema_decay: float = setting(
        0.0,
        "Measure and save a moving average of the weights with this decay per step; 0 keeps the last weights.",
        minimum=0.0,
        maximum=0.99999,
    )
    label_smoothing: float = setting(
        0.0, "Share of each label spread over all classes.", minimum=0.0, maximum=0.9, search=Range(0.0, 0.2)
    )
    class_weights: str = setting(
        "auto",
        "Let each class count the same in the loss (balanced), by weights of its images, or each image (none); auto: "
        "balanced where the largest class has more than 3 times the images of the smallest.",
        choices=("auto", "balanced", "none"),
    )
    early_stopping: int = setting(
        0,
        "Stop after N epochs without a lower validation loss; the model has the weights of the best one. 0: never.",
        minimum=0,
        maximum=100_000,
        common=True,
    )
    seed: int = setting(
        0, "Decides split, initial weights, order and augmentation.", minimum=0, maximum=2**31 - 1, common=True
    )
