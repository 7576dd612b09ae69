"""Where training stands, and the status file that tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fmnist.rundir import RunDirectory, write_json


@dataclass
class Progress:
    """Where training stands: all that a checkpoint holds besides arrays."""

    epochs: int  # planned; a time budget moves it
    epoch: int = 0  # epochs done
    step: int = 0  # steps done in the epoch under way
    seconds: float = 0.0  # spent in the epoch under way
    images: int = 0  # seen in the epoch under way
    sums: dict[str, float] = field(default_factory=dict)  # running loss and accuracy, times `images`
    history: list[dict[str, float]] = field(default_factory=list)

    def spent(self) -> float:
        """Return the seconds of training so far."""
        return self.seconds + sum(row["seconds"] for row in self.history)

    def mean(self, name: str) -> float:
        """Return the running `loss` or `accuracy` of the epoch under way."""
        return self.sums.get(name, 0.0) / max(self.images, 1)


def write_status(run: RunDirectory, state: str, progress: Progress, step: int, model_epoch: int | None = None) -> None:
    """Write `status.json`: how far training got, the seconds it took, and the epoch whose weights the model has."""
    content: dict[str, Any] = {"state": state, "epoch": progress.epoch, "epochs": progress.epochs, "step": step}
    content["seconds"] = round(progress.spent(), 3)
    write_json(run.status, content | ({"model_epoch": model_epoch} if model_epoch else {}))
