"""Holds everything that a checkpoint contains, saves it and restores it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from fmnist.errors import RunError
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory
from fmnist.run.history import best_epoch
from fmnist.training.progress import Progress, Watcher, write_status

if TYPE_CHECKING:
    from fmnist.training.phase import Phase

# Seconds after which the next segment, or an epoch's measuring, ends in a checkpoint. What a killed run can lose is
# this and one segment; saving takes about 0.05 s.
CHECKPOINT_SECONDS = 30.0


class TrainingState:
    """Where training stands, and every array that it goes on with.

    A checkpoint's arrays, in this order: the network's variables, the random states of its layers among them; the
    optimizer's; the moving average of the weights, if there is one; with early stopping the best weights so far.
    """

    def __init__(self, run: RunDirectory, model: keras.Model, steps: int, epochs: int) -> None:
        """Begin at the start of a run of so many planned epochs, each of so many steps."""
        self.run, self.model, self.steps = run, model, steps
        self.progress = Progress(epochs=epochs)
        self.best: list[np.ndarray] = []
        self._phase: Phase | None = None
        self._waiting: list[np.ndarray] = []  # of a checkpoint, until there is a phase to take them
        self._saved_at = 0.0

    def restore(self, watcher: Watcher) -> bool:
        """Go on after the newest whole checkpoint; return whether there is any.

        Raises:
            RunError: every checkpoint is damaged, or was made for another network.
        """
        if not checkpoints.complete(self.run.checkpoints):
            watcher.note("The run ended before its first checkpoint; it starts again")
            return False
        arrays, content, problems = checkpoints.load_latest(self.run.checkpoints)
        for problem in problems:
            watcher.note(f"{problem}; using the one before it")
        try:
            self.progress = Progress.from_state(content)
        except ValueError as error:
            raise RunError(f"the checkpoint in {self.run.checkpoints} cannot be used: {error}") from error
        self._waiting = self._assign(self.model.variables, arrays)
        return True

    def enter(self, phase: Phase) -> None:
        """Begin a phase; from here on its optimizer and its moving average belong to the state."""
        if self._waiting:
            rest = self._assign(phase.optimizer.variables, self._waiting)
            count = len(phase.average)
            phase.average, self.best, self._waiting = rest[:count], rest[count:], []
        self._phase, self._saved_at = phase, time.monotonic()

    def add_epoch(self, row: dict[str, float]) -> None:
        """Close the epoch under way with its row of the history."""
        before = self.progress
        self.progress = Progress(epochs=before.epochs, epoch=before.epoch + 1, history=[*before.history, row])

    def keep_if_best(self, final: keras.Model) -> None:
        """Remember the weights that were measured if their validation loss is the lowest so far."""
        if best_epoch(self.progress.history) == self.progress.epoch:
            self.best = final.get_weights()

    def save_if_due(self) -> None:
        """Write a checkpoint if the last one is older than `CHECKPOINT_SECONDS`."""
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save("running")

    def save(self, state: str, model_epoch: int | None = None) -> None:
        """Write a checkpoint, then the status that goes with it: `running`, `interrupted` or `finished`.

        Raises:
            RunError: a weight is not finite, or the disk is full.
        """
        step = self.progress.epoch * self.steps + self.progress.step
        variables = [*self.model.variables, *(self._phase.optimizer.variables if self._phase else [])]
        arrays = [ops.convert_to_numpy(variable) for variable in variables]
        # A loss is that of the weights before a step: after the segment's last one they may be none any more.
        largest = (float(np.max(np.abs(array), initial=0)) for array in arrays)
        self.progress.check_finite(dict(zip((variable.path for variable in variables), largest, strict=True)))
        kept = [*(self._phase.average if self._phase else []), *self.best, *self._waiting]
        checkpoints.save(self.run.checkpoints, step, [*arrays, *kept], asdict(self.progress))
        write_status(self.run, state, self.progress, step, model_epoch)
        self._saved_at = time.monotonic()

    def _assign(self, variables: list[Any], arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Set variables to the first of the arrays; return the others."""
        own, others = arrays[: len(variables)], arrays[len(variables) :]
        if [tuple(variable.shape) for variable in variables] != [array.shape for array in own]:
            raise RunError(
                f"the checkpoint in {self.run.checkpoints} was made for another network; "
                "start again with `overwrite=True`"
            )
        for variable, array in zip(variables, own, strict=True):
            variable.assign(array)
        return others
