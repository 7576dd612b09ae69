"""Tells how long a run is, in epochs or in seconds, and how much of it is over."""

import math
from dataclasses import asdict

from fmnist import backend
from fmnist.config import FAMILIES, Config
from fmnist.training.progress import Progress, Watcher

# Until the first epoch is measured its measuring is taken to cost this share of its steps.
MEASURING_SHARE = 0.15
# A rest of the budget this small isn't worth another piece of an epoch and its measuring.
REST = 0.02


class EpochCount:
    """A length in epochs; also the interface of `TimeBudget`."""

    def __init__(self, epochs: int, steps: int) -> None:
        """Take the number of epochs and of the steps in each."""
        self.epochs, self.steps = epochs, steps

    def begin(self, progress: Progress) -> None:
        """Training begins, or goes on."""

    def begin_phase(self) -> None:
        """From here on a step and a measuring take other times."""

    def share_done(self, progress: Progress, last: int, first: int) -> float:
        """Return the share (0 to 1) of the phase that is over in the middle of the next segment.

        The segment ends at step `last` of the epoch; `first` epochs came before the phase.
        """
        middle = progress.epoch - first + (progress.step + last) / 2 / self.steps
        return middle / (progress.epochs - first)

    def after_steps(self, progress: Progress) -> None:
        """A segment is done; a time budget may now plan other `progress.epochs`."""

    def is_over(self) -> bool:
        """Whether the epoch under way should end after this segment."""
        return False

    def after_epoch(self, progress: Progress, measuring: float) -> None:
        """An epoch is measured, which took so many seconds; a time budget may now plan other `progress.epochs`."""


class TimeBudget(EpochCount):
    """A length in seconds, from the start of training to its last epoch's measurement.

    The learning rate follows the clock: on a machine that slows down, the last epoch ends earlier, and the learning
    rate still falls to zero.
    """

    def __init__(self, seconds: float, steps: int, config: Config, watcher: Watcher) -> None:
        """Start the clock; the watcher is told the forecast as soon as there is one."""
        super().__init__(1, steps)
        self.seconds, self._config, self._watcher = seconds, config, watcher
        self._started = backend.clock()
        self._measuring: float | None = None
        self._told = False  # the forecast
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None

    def begin(self, progress: Progress) -> None:
        """Count what an interrupted run has spent already."""
        self._started -= progress.spent()

    def begin_phase(self) -> None:
        """Measure the pace anew."""
        self._measuring = self._first = self._last = None

    def spent(self) -> float:
        """Return the seconds used so far."""
        return backend.clock() - self._started

    def share_done(self, progress: Progress | None = None, last: int = 0, first: int = 0) -> float:
        """Return the share (0 to 1) of the training time that is over; the last measuring is left out of it."""
        return min(1.0, self.spent() / max(self.seconds - (self._measuring or 0.0), 1e-9))

    def after_steps(self, progress: Progress) -> None:
        """Note the time, and plan the epochs that end in it, the last one in part.

        The first segment holds compiling and is left out of the pace.
        """
        self._last = (backend.clock(), progress.epoch * self.steps + progress.step)
        self._first = self._first or self._last
        forecast = self.forecast(progress)
        if forecast is not None and not self._told and progress.epoch >= self._config.transfer.frozen_epochs:
            self._watcher.note(self._sentence(forecast))
            self._told = True
        progress.epochs = max(progress.epoch + 1, math.ceil(forecast or 1))

    def is_over(self) -> bool:
        """Whether training should stop, so that measuring still ends in time."""
        return self.share_done() >= 1.0

    def after_epoch(self, progress: Progress, measuring: float) -> None:
        """Note how long measuring took, measure the pace anew, and say whether another epoch is worth it."""
        # Asked before a measuring shorter than its guess gives time back: the learning rate is at zero by now.
        over = self.is_over()
        self._measuring = measuring
        self._first = (backend.clock(), self._last[1]) if self._last else None
        worth_another = self.seconds - self.spent() - measuring > REST * self.seconds
        progress.epochs = progress.epoch + int(worth_another and not over)

    def forecast(self, progress: Progress) -> float | None:
        """Return the epochs in all, the last one in part; None while the pace is not known."""
        if self._first is None or self._last is None or self._last[1] <= self._first[1]:
            return None
        step_seconds = (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])
        if self._measuring is None:
            self._measuring = MEASURING_SHARE * self.steps * step_seconds
        left = max(0.0, self.seconds - self.spent() - self._measuring)
        rest_of_epoch = (self.steps - progress.step) * step_seconds
        if left <= rest_of_epoch:
            return progress.epoch + (progress.step + left / step_seconds) / self.steps
        return progress.epoch + 1 + (left - rest_of_epoch) / (self.steps * step_seconds + self._measuring)

    def _sentence(self, forecast: float) -> str:
        used = {name: value for name, value in asdict(self._config.augmentation).items() if value}
        augmentation = [name if value is True else f"{name} {value:g}" for name, value in used.items()]
        network, filters = self._config.model.family, ", ".join(map(str, self._config.model.filters))
        network += "" if FAMILIES[network].pretrained else f" network with {filters} filters"
        return (
            f"Time budget {self.seconds:g} s: about {forecast:.1f} epochs of the {network}; "
            f"{', '.join(augmentation) or 'no'} augmentation"
        )


def length_of(config: Config, steps: int, watcher: Watcher) -> EpochCount:
    """Return how long a run is; a time budget's clock starts now."""
    recipe = config.training
    return (
        TimeBudget(recipe.time_budget, steps, config, watcher)
        if recipe.time_budget
        else EpochCount(recipe.epochs, steps)
    )
