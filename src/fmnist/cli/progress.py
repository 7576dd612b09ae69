"""Shows on stderr how training goes: the network, a bar with the time left, a line an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmnist.cli.terminal import Bar, say
from fmnist.text import percent
from fmnist.training.progress import Progress, Watcher

if TYPE_CHECKING:
    import keras

# A summary of more layers than this fills several screens.
MAX_LAYERS = 50


class ProgressBar(Watcher):
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self.bar = Bar()
        self.epochs = self.steps = 0

    def network(self, model: keras.Model) -> None:
        """Print the network's summary, or of a deep one its size."""
        if len(model.layers) > MAX_LAYERS:
            say(f"Network   {model.name}: {len(model.layers)} layers, {model.count_params():,} parameters")
        else:
            model.summary(print_fn=say, line_length=76)

    def start(self, progress: Progress, steps: int) -> None:
        """Start the bar where the run stands."""
        self.epochs, self.steps = progress.epochs, steps
        self.bar = Bar(self.epochs * steps, done=progress.epoch * steps + progress.step)
        self.bar.move(progress.epoch * steps + progress.step, text=self._epoch(progress.epoch + 1))

    def segment(self, progress: Progress) -> None:
        """Move the bar."""
        self.epochs = progress.epochs
        note = f"accuracy {percent(progress.mean('accuracy'), 2)} loss {progress.mean('loss'):.3f}"
        done, total = progress.epoch * self.steps + progress.step, self.epochs * self.steps
        self.bar.move(done, total=total, text=self._epoch(progress.epoch + 1), note=note)

    def epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's line above the bar."""
        line = f"{self._epoch(int(row['epoch']))}  {row['seconds']:6.1f} s"
        for part, label in (("train", "train"), ("val", "validation")):
            if f"{part}_accuracy" in row:
                line += f"   {label} {percent(row[f'{part}_accuracy'], 2)} loss {row[f'{part}_loss']:.4f}"
        self.note(line)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.say(text)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()

    def _epoch(self, number: int) -> str:
        return f"Epoch {min(number, self.epochs):>{len(str(self.epochs))}}/{self.epochs}"
