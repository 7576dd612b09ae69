"""How far a run with a time budget has got, and how many epochs fit in. Knows seconds and steps, not models."""

from __future__ import annotations

import math
import time
from dataclasses import asdict

from fmnist.config import FAMILIES, Config
from fmnist.training.progress import Progress, Watcher

# Until the first epoch is measured its measuring is taken to cost this share of its steps.
MEASURING_SHARE = 0.15
# A rest of the budget this small isn't worth another piece of an epoch and its measuring.
REST = 0.02


class Pace:
    """The clock of a run: the learning rate follows it, and it says when to stop.

    A run's length is its time, not its epochs: on a machine that slows down, the last epoch ends earlier, and the
    learning rate still falls to zero.
    """

    def __init__(self, budget: float, spent: float) -> None:
        """Start the clock.

        Args:
            budget: seconds that training may take, from its start to its last epoch's measurement.
            spent: seconds of it that are used already.
        """
        self.budget = budget
        self.started = time.monotonic() - spent
        self.measuring: float | None = None
        self.told = False  # the forecast
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] | None = None

    def spent(self) -> float:
        """Return the seconds used so far."""
        return time.monotonic() - self.started

    def after_steps(self, steps: int) -> None:
        """Note the time after `steps` steps since the start; the first segment holds compiling and is left out."""
        self.last = (time.monotonic(), steps)
        self.first = self.first or self.last

    def after_epoch(self, measuring: float) -> None:
        """Note the seconds that measuring after an epoch took, and measure the pace anew from here."""
        self.measuring = measuring
        self.first = (time.monotonic(), self.last[1]) if self.last else None

    def forget(self) -> None:
        """Measure the pace anew: from here on a step and a measuring are others."""
        self.measuring = self.first = self.last = None

    def done(self) -> float:
        """Return the share (0 to 1) of the training time that is over; the last measuring is left out of it."""
        return min(1.0, self.spent() / max(self.budget - (self.measuring or 0.0), 1e-9))

    def over(self) -> bool:
        """Whether training should stop, so that measuring still ends in time."""
        return self.done() >= 1.0

    def epochs(self, done: int, step: int, steps: int) -> float | None:
        """Return the forecast of the epochs in all, the last one in part; None while the pace is not known.

        Args:
            done: epochs done.
            step: steps done in the epoch under way.
            steps: steps an epoch.
        """
        if self.first is None or self.last is None or self.last[1] <= self.first[1]:
            return None
        step_seconds = (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
        if self.measuring is None:
            self.measuring = MEASURING_SHARE * steps * step_seconds
        left = max(0.0, self.budget - self.spent() - self.measuring)
        rest_of_epoch = (steps - step) * step_seconds
        if left <= rest_of_epoch:
            return done + (step + left / step_seconds) / steps
        return done + 1 + (left - rest_of_epoch) / (steps * step_seconds + self.measuring)

    def worth_another(self) -> bool:
        """Whether enough time is left, after an epoch, to begin another one."""
        return self.budget - self.spent() - (self.measuring or 0.0) > REST * self.budget


def plan(progress: Progress, pace: Pace, steps: int, config: Config, watcher: Watcher) -> int:
    """Return the epochs, the last one in part, that end in time; say what was chosen when they are first known."""
    forecast = pace.epochs(progress.epoch, progress.step, steps)
    if forecast is not None and not pace.told and progress.epoch >= config.transfer.frozen_epochs:
        augmentation = [
            name if value is True else f"{name} {value:g}"
            for name, value in asdict(config.augmentation).items()
            if value
        ]
        filters = ", ".join(map(str, config.model.filters))
        sized = "filters" in FAMILIES[config.model.family].settings
        network = config.model.family + (f" network with {filters} filters" if sized else "")
        watcher.note(
            f"Time budget {pace.budget:g} s: about {forecast:.1f} epochs of the {network}; "
            f"{', '.join(augmentation) or 'no'} augmentation"
        )
        pace.told = True
    return max(progress.epoch + 1, math.ceil(forecast or 1))
