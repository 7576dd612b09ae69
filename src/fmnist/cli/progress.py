"""What a person sees on stderr while a model trains: the network, a bar with the time left, a line an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fmnist.cli.options import percent, say
from fmnist.training.progress import Progress, Watcher

if TYPE_CHECKING:
    import keras

# A summary of more layers than this fills several screens.
MAX_LAYERS = 50


class ProgressBar(Watcher):
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self.bar: Any = None
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
        self.bar = tqdm(
            total=self.epochs * steps,
            initial=progress.epoch * steps + progress.step,
            unit="step",
            disable=None,
            dynamic_ncols=True,
            leave=False,
            bar_format="{desc} {percentage:3.0f}% {bar} {elapsed}, {remaining} left{postfix}",
        )
        self.bar.set_description_str(self._epoch(progress.epoch + 1))

    def segment(self, progress: Progress) -> None:
        """Move the bar."""
        if progress.epochs != self.epochs:
            self.epochs = progress.epochs
            self.bar.total = self.epochs * self.steps
        self.bar.set_description_str(self._epoch(progress.epoch + 1), refresh=False)
        self.bar.set_postfix_str(
            f"accuracy {percent(progress.mean('accuracy'))} loss {progress.mean('loss'):.3f}", refresh=False
        )
        self.bar.update(progress.epoch * self.steps + progress.step - self.bar.n)

    def epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's line above the bar."""
        line = f"{self._epoch(int(row['epoch']))}  {row['seconds']:6.1f} s"
        for part, label in (("train", "train"), ("val", "validation")):
            if f"{part}_accuracy" in row:
                line += f"   {label} {percent(row[f'{part}_accuracy'])} loss {row[f'{part}_loss']:.4f}"
        self.note(line)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is None or self.bar.disable:
            say(text)
        else:
            with self.bar.external_write_mode(file=self.bar.fp):
                say(text)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()

    def _epoch(self, number: int) -> str:
        width = len(str(self.epochs))
        return f"Epoch {min(number, self.epochs):>{width}}/{self.epochs}"
