"""How many epochs fit into a time budget. Knows seconds and steps, not models."""

from __future__ import annotations

import math
import time

# Until the first epoch is measured its measuring is taken to cost this share of its steps.
MEASURING_SHARE = 0.15
# Before anything is measured: many epochs, so that the learning rate begins its rise slowly.
UNKNOWN = 100


class Pace:
    """Measures how fast a run goes and forecasts how many epochs end in time."""

    def __init__(self, budget: float, spent: float) -> None:
        """Start the clock.

        Args:
            budget: seconds that training may take, from its start to its last epoch's measurement.
            spent: seconds of it that an earlier part of the run used.
        """
        self.budget = budget
        self.started = time.monotonic() - spent
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] | None = None
        self.measuring: float | None = None
        self.planned = False

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

    def epochs(self, done: int, step: int, steps: int) -> int | None:
        """Return how many epochs end in time, at least the one under way; None while the pace is not known.

        Args:
            done: epochs done.
            step: steps done in the epoch under way.
            steps: steps an epoch.
        """
        if self.first is None or self.last is None or self.last[1] <= self.first[1]:
            return None
        step_seconds = (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
        measuring = MEASURING_SHARE * steps * step_seconds if self.measuring is None else self.measuring
        epoch = steps * step_seconds + measuring
        self.planned = True
        left = self.budget - self.spent() - (steps - step) * step_seconds - measuring
        return done + 1 + max(0, math.floor(left / epoch))
