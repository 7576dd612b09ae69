"""Writes a run's `tensorboard/` folder: curves, settings, verdict, scores and pictures, for `tensorboard --logdir`."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from fmnist.run import facts, results
from fmnist.run.directory import RunDirectory

# Where a column of `history.csv` is drawn: TensorBoard puts equal names of several folders into one picture.
PLACES = {
    "train_loss": ("train", "loss"), "train_accuracy": ("train", "accuracy"),
    "val_loss": ("validation", "loss"), "val_accuracy": ("validation", "accuracy"),
    "loss": ("running-average", "loss"), "accuracy": ("running-average", "accuracy"),
    "learning_rate": ("", "learning_rate"), "seconds": ("", "seconds"),
}  # fmt: skip
_KINDS = (bool, int, float, str)


class TensorBoard:
    """Writes the folder anew whenever a run begins or goes on: what TensorBoard has read of it before is dropped."""

    def __init__(self, run: RunDirectory, study: RunDirectory | None) -> None:
        self.run, self.shown, self.sent = run, (study or run).path.parent, 0
        self.writers: dict[str, SummaryWriter] = {}
        if run.exists():
            shutil.rmtree(run.tensorboard, ignore_errors=True)
            self._write_settings()

    def send(self, final: bool) -> None:
        """Write the epochs that are new; of a study's folder nothing: those of its runs lie below it."""
        epochs = facts.epochs(self.run)
        for row, when in epochs[self.sent :]:
            for column, (folder, tag) in PLACES.items():
                if column in row:
                    self._writer(folder).add_scalar(tag, row[column], int(row["epoch"]), when)
        self.sent = len(epochs)
        if final and self.run.exists():
            self._write_results()
        for writer in self.writers.values():
            writer.close() if final else writer.flush()

    def where(self) -> str:
        """Return the command that shows the runs."""
        return f"TensorBoard: tensorboard --logdir {shlex.quote(str(self.shown))}"

    def _writer(self, folder: str) -> SummaryWriter:
        if folder not in self.writers:
            self.writers[folder] = SummaryWriter(str(self.run.tensorboard / folder), purge_step=0)
        return self.writers[folder]

    def _write_settings(self) -> None:
        found = {name: value for name, value in facts.settings(self.run).items() if value is not None}
        plain = {name: value if isinstance(value, _KINDS) else str(value) for name, value in found.items()}
        self._ends = hparams(plain, {"test/accuracy": 0.0, "test/loss": 0.0})
        for summary in self._ends[:2]:
            self._writer("").file_writer.add_summary(summary)
        self._write_text("settings", found)
        self._write_text("environment", results.environment(self.run))

    def _write_results(self) -> None:
        writer, step = self._writer(""), int(self.run.read_status().get("model_epoch", self.sent))
        if found := results.diagnosis(self.run):
            told = "\n".join(f"- {sentence}" for sentence in found["sentences"])
            writer.add_text("verdict", f"**{found['verdict']}**\n\n{told}", step)
        for name, value in facts.scores(self.run).items():
            writer.add_scalar(name.replace("_", "/", 1), value, step)  # a group of its own: test/accuracy
        for path in sorted(self.run.plots.glob("*.png")):
            writer.add_image(f"plots/{path.stem}", _pixels(path), step, dataformats="HWC")
        writer.file_writer.add_summary(self._ends[2])

    def _write_text(self, name: str, values: dict[str, Any]) -> None:
        lines = [f"| {key} | {value} |" for key, value in values.items() if not isinstance(value, dict)]
        self._writer("").add_text(name, "\n".join([f"| {name} | |", "| --- | --- |", *lines]))


def _pixels(path: Path) -> np.ndarray:
    """Return a picture, uint8 (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
