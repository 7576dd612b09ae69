"""Shows on stderr how training goes: the network, a bar with the time left, a line an epoch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fmnist.cli.terminal import Bar, detail, width
from fmnist.text import percent
from fmnist.training.progress import Progress, Watcher

if TYPE_CHECKING:
    import keras

MAX_SUMMARY = 76  # columns of the network's summary


class ProgressBar(Watcher):
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain."""

    def __init__(self) -> None:
        """Show that something happens: the libraries take seconds to load."""
        self.bar = Bar()
        self.bar.move(0, text="Loading the libraries")
        self.epochs = self.steps = 0

    def network(self, model: keras.Model) -> None:
        """Print the network's size, and with `--verbose` its layers."""
        self.note(f"Network   {model.name}: {len(model.layers)} layers, {model.count_params():,} parameters")
        model.summary(print_fn=detail, line_length=min(MAX_SUMMARY, width(sys.stderr)))

    def start(self, progress: Progress, steps: int) -> None:
        """Start the bar where the run stands; the first steps take longer, since they are compiled."""
        self.close()
        self.epochs, self.steps = progress.epochs, steps
        done = progress.epoch * steps + progress.step
        self.bar = Bar(self.epochs * steps, done=done)
        self.bar.move(done, text=self._epoch(progress.epoch + 1), note="compiling the first steps")

    def segment(self, progress: Progress) -> None:
        """Move the bar."""
        self.epochs = progress.epochs
        note = f"accuracy {percent(progress.mean('accuracy'), 2)} loss {progress.mean('loss'):.3f}"
        done, total = progress.epoch * self.steps + progress.step, self.epochs * self.steps
        self.bar.move(done, total=total, text=self._epoch(progress.epoch + 1), note=note)

    def epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's line above the bar, which names the next one from now on."""
        line = f"{self._epoch(int(row['epoch']))}  {row['seconds']:6.1f} s"
        for part, label in (("train", "train"), ("val", "validation")):
            if f"{part}_accuracy" in row:
                line += f"   {label} {percent(row[f'{part}_accuracy'], 2)} loss {row[f'{part}_loss']:.4f}"
        self.note(line)
        done = int(row["epoch"])
        if done == self.epochs:
            self.close()
        self.bar.move(done * self.steps, text=self._epoch(done + 1), note="")

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.say(text)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()
        self.bar = Bar(delay=float("inf"))

    def _epoch(self, number: int) -> str:
        return f"Epoch {min(number, self.epochs):>{len(str(self.epochs))}}/{self.epochs}"
