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
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain.

    Once several runs are under way at the same time, each has a row of its own below the bar.
    """

    def __init__(self) -> None:
        """Draw nothing yet."""
        self.bar = Bar()
        self.all = self.done = 0
        self.expected: dict[str, float] = {}  # forecast seconds of each run that is left, or 1 where there is none
        self.behind = 0.0  # of what is expected, in the runs that have ended
        self.running: dict[str, _RunProgress] = {}
        self.several = False
        self.started = time.monotonic()

    def start(self, jobs: Sequence[Job], forecasts: Sequence[Forecast]) -> None:
        """Say how long it will take, if that is known, and start the bar."""
        waiting = [run for run, _ in jobs if not is_done(run)]
        units = [one.seconds for one in forecasts] or [1.0] * len(waiting)
        self.expected = {run.name: unit for run, unit in zip(waiting, units, strict=True)}
        self.all, self.done, self.started = len(jobs), len(jobs) - len(waiting), time.monotonic()
        if self.done:
            say(f"Done      {self.done} of {self.all} runs")
        if not waiting:
            return
        if forecasts:
            seconds, low, high = total(forecasts)
            source = "from finished runs" if all(one.source == "runs" for one in forecasts) else "from short probes"
            span = f"{duration(seconds)} ({duration(low)} to {duration(high)}, {source})"
            say(f"Forecast  {plural(len(waiting), 'run')}, {span}")
        self.bar = Bar(sum(units))

    def begin(self, run: RunDirectory) -> Watcher:
        """Name the run that begins."""
        self.running[run.name] = _RunProgress(self, run)
        self.several |= len(self.running) > 1
        self.move()
        return self.running[run.name]

    def end(self, run: RunDirectory) -> None:
        """Print the run's last scores, and what is left."""
        self.running.pop(run.name, None)
        self.behind += self.expected.get(run.name, 0.0)
        self.done += 1
        line = f"Run {self.done:>{len(str(self.all))}}/{self.all}  {run.name}   "
        if run.state() == "diverged":
            line += "failed: its loss stopped being a number"
        else:
            line += f"{duration(run.read_status()['seconds'])}{self.scores(results.model_row(run), run)}"
        if self.expected and self.done < self.all:
            line += f"   about {duration(self.left())} left"
        self.note(line)
        self.move()

    def position(self) -> float:
        """Return how much of what is expected is done."""
        return self.behind + sum(self.expected.get(name, 0.0) * one.share for name, one in self.running.items())

    def scores(self, row: dict[str, float], run: RunDirectory) -> str:
        """Return what is worth telling of a run, from the last row of its history."""
        if "val_accuracy" not in row:
            return ""
        gap = 100 * (row["train_accuracy"] - row["val_accuracy"])
        return f"   validation {percent(row['val_accuracy'], 2)}   gap {number(gap, 1)} points"

    def left(self) -> float:
        """Return the seconds left, from the forecast and from how it has turned out so far."""
        done = self.position()
        pace = (time.monotonic() - self.started) / done if done else 1.0
        return max(0.0, sum(self.expected.values()) - done) * pace

    def move(self) -> None:
        """Put the bar to where the runs under way are."""
        rows = {name: (one.text, one.share) for name, one in self.running.items()}
        text = f"{self.done} of {plural(self.all, 'run')} done"
        if rows and not self.several:
            text = f"Run {self.done + 1}/{self.all} {rows.popitem()[1][0]}"
        self.bar.move(self.position(), text=text, rows=rows)

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
        self.share, self.text = 0.0, f"{run.name} starts"

    def start(self, progress: Progress, steps: int) -> None:
        self.steps = steps
        self.segment(progress)

    def segment(self, progress: Progress) -> None:
        self.share = min(1.0, (progress.epoch + progress.step / self.steps) / progress.epochs)
        self.text = f"{self.run.name}, epoch {min(progress.epoch + 1, progress.epochs)}/{progress.epochs}"
        self.study.move()
