"""Shows on stderr how a study goes: the forecast, one bar for all of it, a line a run."""

import time
from collections.abc import Sequence

from fmnist.cli.terminal import Bar, say
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.study import Forecast, Job, StudyWatcher, is_done, total
from fmnist.text import duration, number, percent, plural
from fmnist.training.progress import Progress, Watcher


class StudyProgress(StudyWatcher):
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self.bar = Bar()
        self.expected: dict[str, float] = {}
        self.all = self.number = 0
        self.started = time.monotonic()
        self.before = 0.0  # forecast seconds of the runs that are behind us

    def start(self, jobs: Sequence[Job], forecasts: Sequence[Forecast]) -> None:
        """Say how long it will take and start the bar, whose unit is a forecast second."""
        waiting = [run for run, _ in jobs if not is_done(run)]
        self.expected = {run.name: one.seconds for run, one in zip(waiting, forecasts, strict=True)}
        self.all, self.number, self.started = len(jobs), len(jobs) - len(waiting), time.monotonic()
        seconds, low, high = total(forecasts)
        if self.number:
            say(f"Done      {self.number} of {self.all} runs")
        if not waiting:
            return
        source = "from finished runs" if all(one.source == "runs" for one in forecasts) else "from short probes"
        span = f"{duration(seconds)} ({duration(low)} to {duration(high)}, {source})"
        say(f"Forecast  {plural(len(waiting), 'run')}, {span}")
        self.bar = Bar(seconds)

    def begin(self, run: RunDirectory) -> Watcher:
        """Name the run that begins."""
        self.number += 1
        return _RunProgress(self, run)

    def end(self, run: RunDirectory) -> None:
        """Print the run's last scores, and what is left."""
        self.before += self.expected.get(run.name, 0.0)
        self.move(0.0, f"Run {self.number}/{self.all}")
        line = f"Run {self.number:>{len(str(self.all))}}/{self.all}  {run.name}   "
        if run.state() == "diverged":
            line += "failed: its loss stopped being a number"
        else:
            line += f"{duration(run.read_status()['seconds'])}{self.scores(results.model_row(run), run)}"
        if self.expected and self.number < self.all:
            line += f"   about {duration(self.left())} left"
        self.note(line)

    def scores(self, row: dict[str, float], run: RunDirectory) -> str:
        """Return what is worth telling of a run, from the last row of its history."""
        if "val_accuracy" not in row:
            return ""
        gap = 100 * (row["train_accuracy"] - row["val_accuracy"])
        return f"   validation {percent(row['val_accuracy'], 2)}   gap {number(gap, 1)} points"

    def left(self) -> float:
        """Return the seconds left, from the forecast and from how it has turned out so far."""
        pace = (time.monotonic() - self.started) / self.before if self.before else 1.0
        return max(0.0, sum(self.expected.values()) - self.before) * pace

    def move(self, within: float, text: str) -> None:
        """Put the bar to where the run under way has used `within` seconds of its forecast."""
        self.bar.move(self.before + within, text=text)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.say(text)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


class _RunProgress(Watcher):
    """Moves the study's bar while one of its runs trains."""

    def __init__(self, study: StudyProgress, run: RunDirectory) -> None:
        self.study, self.run, self.steps = study, run, 1

    def start(self, progress: Progress, steps: int) -> None:
        self.steps = steps
        self.segment(progress)

    def segment(self, progress: Progress) -> None:
        share = (progress.epoch + progress.step / self.steps) / progress.epochs
        text = f"Run {self.study.number}/{self.study.all} {self.run.name}, epoch {progress.epoch + 1}/{progress.epochs}"
        self.study.move(share * self.study.expected.get(self.run.name, 0.0), text)
