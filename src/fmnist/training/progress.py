"""Holds where training stands, writes it to the status file, and tells a `Watcher`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmnist.errors import Diverged
from fmnist.run.directory import RunDirectory, write_json

if TYPE_CHECKING:
    import keras


class Interrupted(Exception):
    """Training stopped because it was asked to; what was done is saved."""


@dataclass
class Progress:
    """Where training stands: all that a checkpoint holds besides arrays."""

    epochs: int  # planned; a time budget moves it
    epoch: int = 0  # epochs done
    step: int = 0  # steps done in the epoch under way
    seconds: float = 0.0  # spent in the epoch under way
    images: int = 0  # seen in the epoch under way
    sums: dict[str, float] = field(default_factory=dict)  # running loss and accuracy, times `images`
    segments: list[list[float]] = field(default_factory=list)  # in the epoch under way: steps done, loss of the segment
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def from_state(cls, state: Any) -> Progress:
        """Return what a checkpoint's state says.

        Raises:
            ValueError: it says something else, as one written by a later version may.
        """
        try:
            progress = cls(**state)
            counts = [progress.epochs, progress.epoch, progress.step, progress.images]
            rows = [value for row in progress.history for value in row.values()]
            segments = [value for steps, loss in progress.segments for value in (steps, loss)]
            numbers = [progress.seconds, *progress.sums.values(), *segments, *rows]
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"its state is not that of a run ({error})") from error
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError(f"its state counts {counts}; expected whole numbers")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("its state holds losses or times that are no numbers")
        return progress

    def spent(self) -> float:
        """Return the seconds of training so far."""
        return self.seconds + sum(row["seconds"] for row in self.history)

    def count(self, result: Mapping[str, float], step: int, images: int) -> None:
        """Add a segment's mean loss and accuracy over so many images to the epoch's; both must be finite."""
        self.step = step
        self.check_finite(result)
        for name in ("loss", "accuracy"):
            self.sums[name] = self.sums.get(name, 0.0) + result[name] * images
        self.images += images
        self.segments.append([step, result["loss"]])

    def check_finite(self, values: Mapping[str, float]) -> None:
        """Refuse to go on with a value that is not finite.

        Raises:
            Diverged: names it, epoch and step.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"the {name} became {value} in epoch {self.epoch + 1} of {self.epochs}, at step {self.step}; "
                    "try a smaller `learning_rate`"
                )

    def row(self, learning_rate: float, measured: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Return the line of `history.csv` for the epoch under way; `measured` has the scores of the network as it is.

        Raises:
            Diverged: a value is not finite.
        """
        running = {name: self.mean(name) for name in ("loss", "accuracy")}
        row = {"epoch": self.epoch + 1, "learning_rate": learning_rate, **running, **measured, "seconds": seconds}
        self.check_finite(row)
        return row

    def mean(self, name: str) -> float:
        """Return the running `loss` or `accuracy` of the epoch under way."""
        return self.sums.get(name, 0.0) / max(self.images, 1)


class Watcher:
    """What training tells while it runs. Every method may be left as it is."""

    def network(self, model: keras.Model) -> None:
        """The network is built."""

    def start(self, progress: Progress, steps: int) -> None:
        """Training begins, or goes on: `progress` is where it stands, `steps` is the number of steps an epoch."""

    def segment(self, progress: Progress) -> None:
        """Some steps are done."""

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done and measured; `row` is its line of `history.csv`."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


class Watchers(Watcher):
    """Tells several watchers, one after another."""

    def __init__(self, *watchers: Watcher) -> None:
        self._all = watchers

    def network(self, model: keras.Model) -> None:
        """The network is built."""
        for watcher in self._all:
            watcher.network(model)

    def start(self, progress: Progress, steps: int) -> None:
        """Training begins, or goes on."""
        for watcher in self._all:
            watcher.start(progress, steps)

    def segment(self, progress: Progress) -> None:
        """Some steps are done."""
        for watcher in self._all:
            watcher.segment(progress)

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done and measured."""
        for watcher in self._all:
            watcher.epoch(row)

    def note(self, text: str) -> None:
        """Something that the user should know."""
        for watcher in self._all:
            watcher.note(text)


def write_status(run: RunDirectory, state: str, progress: Progress, step: int, model_epoch: int | None = None) -> None:
    """Write `status.json`: how far training got, the seconds it took, and the epoch whose weights the model has."""
    content: dict[str, Any] = {"state": state, "epoch": progress.epoch, "epochs": progress.epochs, "step": step}
    content["seconds"] = round(progress.spent(), 3)
    write_json(run.status, content | ({"model_epoch": model_epoch} if model_epoch else {}))
