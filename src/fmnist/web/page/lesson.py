"""Trains on a collection of pictures in processes of their own; how far that is, the run's files tell."""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

from fmnist.errors import FmnistError
from fmnist.predictor.process import end
from fmnist.run.directory import RunDirectory

LEAST_CLASSES, LEAST_PICTURES = 2, 5
"""What training needs: classes, and pictures of each, of which one in five is kept for the test."""
# Pictures as they were when a run was trained, so that its data stays what it was. The folder is hidden, and so no
# class of the collection.
_DATA = ".data"
_FORM = ["--colour", "--size", "96"]
# Only the last layer is trained, on features of the pictures that are computed once: epochs cost next to nothing.
_RECIPE = ["--preset", "transfer", "--epochs", "60", "--frozen-epochs", "60", "--batch-size", "16"]

_SHARE_OF_EPOCHS = 0.6  # of the time that training takes; the rest is for scores and report


class Lesson:
    """One training, which begins at once: the pictures are imported, then a run is trained on them and evaluated."""

    def __init__(self, pictures: Path, runs_dir: Path) -> None:
        """Train on the pictures in a collection's folder; the run has the folder's name and the first free number."""
        self.name = pictures.name
        names = (f"{self.name}-{number}" for number in itertools.count(1))
        places = (runs_dir, pictures / _DATA)
        name = next(name for name in names if not any((place / name).exists() for place in places))
        self.run, data = RunDirectory(runs_dir / name), pictures / _DATA / name
        place = [f"--data-dir={data}", f"--runs-dir={runs_dir}", f"--name={name}"]
        self._steps = (
            ("Reading the pictures", ["data", "import", f"--out={data}", *_FORM, "--", str(pictures)]),
            ("Training", ["train", *place, *_RECIPE]),
        )
        self.problem = ""
        self._step, self._stopped = 0, False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def progress(self) -> tuple[float, str]:
        """Return the share that is done, 0 to 1, and what is done now, in words."""
        words, share = self._steps[self._step][0], 0.0
        try:
            status = self.run.read_status()
        except FmnistError:
            status = {}
        if self._step == 1 and status.get("epoch"):
            share = status["epoch"] / status["epochs"]
            words += f", epoch {status['epoch']} of {status['epochs']}" if share < 1 else ": the scores and the report"
        return (self._step + share * _SHARE_OF_EPOCHS) / len(self._steps), words

    def stop(self) -> None:
        """End it; training saves its work so far."""
        self._stopped = True
        if self._process is not None:
            self._process.terminate()

    def _work(self) -> None:
        command = [sys.executable, "-P", "-m", "fmnist"]
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        # The child finds the package where this process did.
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        for number, (_, words) in enumerate(self._steps):
            self._step = number
            if self._stopped:
                return
            with subprocess.Popen(
                command + words, stdin=quiet, stdout=quiet, stderr=pipe, env=variables, text=True, errors="replace"
            ) as self._process:
                _, said = self._process.communicate()
            if code := self._process.returncode:
                self.problem = said.rpartition("Error: ")[2].strip()[:1000] if "Error: " in said else end(code)
                return


def newest_run(pictures: Path, runs_dir: Path) -> RunDirectory | None:
    """Return the newest run that was trained on a collection's pictures and is complete; None where there is none."""
    made = sorted((pictures / _DATA).glob("*"), key=lambda path: -path.stat().st_mtime_ns)
    runs = (RunDirectory(runs_dir / path.name) for path in made)
    return next((run for run in runs if run.report.is_file()), None)
