"""Shows on stderr how an audit goes: a bar with the time left, for its folds and for the search for copies."""

from fmnist.audit.folds import AuditWatcher
from fmnist.cli.terminal import Bar
from fmnist.training.progress import Progress


class FoldBar(AuditWatcher):
    """A bar for all folds of an audit, and then for the search for copies."""

    def __init__(self) -> None:
        """Show that something happens: the libraries take seconds to load."""
        self.bar = Bar(text="Loading the libraries")
        self.bar.move(0)
        self._fold, self._folds, self._steps = 1, 1, 1

    def fold(self, number: int, folds: int) -> None:
        """Keep the number; the answers of a fold that is done already are skipped in no time."""
        self._fold, self._folds = number, folds

    def start(self, progress: Progress, steps: int) -> None:
        """Move the bar to the fold."""
        self._steps = steps
        self.segment(progress)

    def segment(self, progress: Progress) -> None:
        """Move the bar."""
        share = (progress.epoch + progress.step / self._steps) / progress.epochs
        done = self._fold - 1 + min(share, 1.0)
        self.bar.move(done, total=self._folds, text=f"Fold {self._fold}/{self._folds}")

    def work(self, text: str, done: int, total: int) -> None:
        """Give the other work a bar of its own."""
        if self._folds:
            self.bar.close()
            self.bar, self._folds = Bar(), 0
        self.bar.move(done, total=total, text=text)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()
