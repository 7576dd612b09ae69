"""The settings of the data: which training images are learnt from, and which are kept to measure."""

from __future__ import annotations

from dataclasses import dataclass

from fmnist.config.fields import setting


@dataclass(frozen=True)
class DataConfig:
    """Which of the training images are used for what."""

    validation_fraction: float = setting(
        0.2,
        "Share of the training set kept for validation, stratified by class. Where the data has a part for validation, "
        "that is taken instead; with 0 all is learnt from.",
        minimum=0.0,
        maximum=0.9,
    )
    folds: int = setting(
        0,
        "Cross-validation: train N runs, each with another Nth of the training images held out, and leave the test set "
        "alone; 0: one run.",
        minimum=0,
        maximum=100,
        common=True,
    )
    fold: int | None = setting(
        None, "Train one of the folds alone, which are counted from 0 [default: all in turn].", minimum=0, maximum=99
    )
    limit: int | None = setting(
        None,
        "Use only N training images, for a quick look: the first ones, or some of each class where these lack one. The "
        "test set stays whole.",
        minimum=1,
        common=True,
    )
    decisions: str | None = setting(
        None,
        "Obey what this CSV file, such as an audit's, decides about training images: keep, relabel or drop.",
        common=True,
    )
