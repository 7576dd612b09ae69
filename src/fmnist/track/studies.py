"""Sends the runs of a study to tracking systems, and the study itself, where a system knows such a thing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmnist.run.directory import RunDirectory
from fmnist.study import Forecast, Job, StudyWatcher
from fmnist.track import Tracking
from fmnist.training.progress import Watcher, Watchers


class TrackedStudy(StudyWatcher):
    """Tells another watcher of a study, too. What is left is sent at the end of the `with` block of `tracking`."""

    def __init__(self, tracking: Tracking, folder: Path, watcher: StudyWatcher) -> None:
        self._tracking, self._folder, self._watcher = tracking, RunDirectory(folder), watcher

    def start(self, jobs: Sequence[Job], forecasts: Sequence[Forecast]) -> None:
        """The study begins, or goes on."""
        self._watcher.start(jobs, forecasts)
        self._tracking.send(self._folder)

    def begin(self, run: RunDirectory) -> Watcher:
        """A run begins."""
        return Watchers(self._watcher.begin(run) or Watcher(), self._tracking.watch(run, self._folder))

    def end(self, run: RunDirectory) -> None:
        """A run is finished, evaluated and diagnosed, or has diverged."""
        self._watcher.end(run)
        self._tracking.send(run, self._folder, final=True)

    def note(self, text: str) -> None:
        """Something that the user should know."""
        self._watcher.note(text)
