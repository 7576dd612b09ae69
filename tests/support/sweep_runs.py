"""Trials of a sweep, made up without training: their losses are a function of their settings."""

import math
from collections.abc import Iterator

from fmnist.run.directory import RunDirectory, write_json
from fmnist.run.history import write_history
from fmnist.study import is_done
from fmnist.training.progress import Interrupted, Progress, write_status

EPOCHS = 4


class Killed(BaseException):
    """Ends a sweep as a kill does: no handler for errors sees it."""


def floor(config) -> float:
    """The loss that a run comes down to: lowest at a learning rate of 0.003 without dropout."""
    return 0.2 + 0.1 * math.log10(config.training.learning_rate / 0.003) ** 2 + 0.1 * config.model.dropout


class MadeUp:
    """A runner that writes the files of runs at once; may be killed at the n-th question whether to stop."""

    def __init__(self, kill_at: int = -1) -> None:
        self.begun: list[str] = []
        self.batches: list[int] = []
        self.left = kill_at

    def __call__(self, jobs, dataset, watcher, should_stop) -> None:
        self.batches.append(len(jobs))
        for run, config in jobs:
            if is_done(run):
                continue
            self.begun.append(run.name)
            watcher.begin(run)
            self.train(run, config, dataset, should_stop)
            watcher.end(run)

    def scores(self, config, dataset) -> Iterator[dict[str, float]]:
        """Yield the scores after each epoch."""
        for epoch in range(1, config.training.epochs + 1):
            loss = floor(config) * (1 + 1 / epoch)
            yield {"train_loss": loss, "val_loss": loss, "train_accuracy": 1 - loss / 4, "val_accuracy": 1 - loss / 4}

    def train(self, run, config, dataset, should_stop) -> None:
        facts = {"class_names": list("ABCDEFGHIJ"), "image_shape": [28, 28], "num_train": 480, "num_validation": 120}
        write_json(run.environment, {"data_sha256": dataset.sha256})
        write_json(run.config, config.to_dict() | {"parameters": 1, "dataset": facts | {"num_test": 200}})
        if config.training.learning_rate > 0.5:
            write_json(run.status, {"state": "diverged", "epoch": 0, "seconds": 1.0, "message": "the loss became nan"})
            return
        rows = []
        for epoch, scores in enumerate(self.scores(config, dataset), 1):
            rows.append({"epoch": epoch, "seconds": 1.0, "learning_rate": 0.1, **scores})
            write_history(run.history, rows)
            progress = Progress(config.training.epochs, epoch, history=rows)
            write_status(run, "running", progress, epoch)
            self.left -= 1
            if self.left == 0:
                raise Killed
            if should_stop():
                raise Interrupted
            if run.stopped.is_file():
                write_status(run, "interrupted", progress, epoch)
                return
        write_status(run, "finished", progress, epoch, model_epoch=epoch)
        write_json(run.diagnosis, {})


def score(run: RunDirectory, *_, **__) -> None:
    """Write the test scores that `pipeline.resume` would; stands in for it."""
    scores = {"accuracy": 0.9, "accuracy_interval": [0.85, 0.93], "loss": 0.3, "num_images": 200}
    write_json(run.metrics, scores)
    run.report.write_text("", "utf-8")
