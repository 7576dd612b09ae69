"""Shows on stderr how a sweep goes: the forecast, one bar for all of it, a line a trial."""

from fmnist.cli.study_progress import StudyProgress
from fmnist.run.directory import RunDirectory
from fmnist.text import loss, percent


class SweepProgress(StudyProgress):
    """A study's progress, which tells of a trial its validation loss, and whether it was stopped early."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        super().__init__()
        self.lowest = float("inf")

    def scores(self, row: dict[str, float], run: RunDirectory) -> str:
        """Return the validation loss, and what it is worth."""
        told = f"   validation loss {loss(row['val_loss'])}"
        if run.stopped.is_file():
            return f"{told}   stopped after epoch {row['epoch']:.0f}"
        is_lowest, self.lowest = row["val_loss"] < self.lowest, min(row["val_loss"], self.lowest)
        return f"{told}   accuracy {percent(row['val_accuracy'], 2)}{'   lowest so far' if is_lowest else ''}"
