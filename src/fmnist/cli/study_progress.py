"""What a person sees on stderr while a study runs: the forecast, one bar for all of it, a line a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from fmnist.cli.options import percent, say
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.study import Forecast, Job, StudyWatcher, is_done, total
from fmnist.training.progress import Progress, Watcher


def time_words(seconds: float) -> str:
    """Format a length of time for a forecast: `40 s`, `12 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class StudyProgress(StudyWatcher):
    """Draws on stderr; where stderr is no terminal the bar is left out and the lines remain."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self.bar: Any = None
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
        say(f"Forecast  {len(waiting)} runs, {time_words(seconds)} ({time_words(low)} to {time_words(high)}, {source})")
        self.bar = tqdm(
            total=seconds,
            disable=None,
            dynamic_ncols=True,
            leave=False,
            smoothing=0,
            bar_format="{desc} {percentage:3.0f}% {bar} {elapsed}, {remaining} left",
        )

    def begin(self, run: RunDirectory) -> Watcher:
        """Name the run that begins."""
        self.number += 1
        return _RunProgress(self, run)

    def end(self, run: RunDirectory) -> None:
        """Print the run's last scores, and what is left."""
        self.before += self.expected.get(run.name, 0.0)
        self.move(0.0, f"Run {self.number}/{self.all}")
        line = f"Run {self.number:>{len(str(self.all))}}/{self.all}  {run.name}"
        if run.state() == "diverged":
            line += "   failed: its loss is no number any more"
        else:
            line += f"   {run.read_status()['seconds']:.0f} s"
            if "val_accuracy" in (row := results.model_row(run)):
                gap = 100 * (row["train_accuracy"] - row["val_accuracy"])
                told = f"{gap:.1f}".replace("-", "\N{MINUS SIGN}")
                line += f"   validation {percent(row['val_accuracy'])}   gap {told} points"
        if self.bar is not None and self.number < self.all:
            line += f"   about {time_words(self.left())} left"
        self.note(line)

    def left(self) -> float:
        """Return the seconds left, from the forecast and from how it has turned out so far."""
        pace = (time.monotonic() - self.started) / self.before if self.before else 1.0
        return max(0.0, sum(self.expected.values()) - self.before) * pace

    def move(self, within: float, text: str) -> None:
        """Put the bar to where the run under way has used `within` seconds of its forecast."""
        if self.bar is not None:
            self.bar.set_description_str(text, refresh=False)
            self.bar.update(min(self.before + within, self.bar.total) - self.bar.n)

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
