"""Estimates how long a study will take, from its finished runs or from a short probe of each variant."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.config import Config
from fmnist.data.dataset import Dataset
from fmnist.errors import Diverged
from fmnist.run import results
from fmnist.run.directory import RunDirectory
from fmnist.run.history import TRAIN_SAMPLE, read_history
from fmnist.study.runner import Forecast, Job, is_done
from fmnist.training.progress import Progress, Watcher

# Images of a probe's epoch, of which there are two: 24 steps of 64 images, of which a fifth is kept for validation.
PROBE_IMAGES = 1_920
# What a whole run may take of what its forecast says. Whole runs differ by a fifth on a machine that does other things
# besides; a probe is shorter than the processor's changes of clock, and misses what only a long run meets.
KNOWN_RANGE, PROBED_RANGE = (0.8, 1.25), (0.7, 1.6)


def forecast(
    jobs: Sequence[Job],
    dataset: Dataset,
    *,
    tell: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Forecast]:
    """Return a forecast for each job that is not done yet, in their order.

    A job takes what the finished runs with the same settings but for seed and fold took; where there is none, its
    settings are probed: two epochs on 1,920 images in a temporary folder, the second of which is taken for the pace.

    Raises:
        Interrupted: `should_stop` said so.
    """
    known: dict[Config, list[float]] = {}
    for run, config in jobs:
        if is_done(run) and run.state() == "finished":
            spent = float(run.read_status()["seconds"]) + float(results.metrics(run).get("seconds", 0.0))
            known.setdefault(_seedless(config), []).append(spent)
    found = {key: _forecast(float(np.mean(spent)), KNOWN_RANGE, "runs") for key, spent in known.items()}
    waiting = [config for run, config in jobs if not is_done(run)]
    unknown = {key: config for config in waiting if (key := _seedless(config)) not in found}
    for number, (key, config) in enumerate(unknown.items(), 1):
        tell(f"Measuring how fast it goes: {number} of {len(unknown)}")
        found[key] = _forecast(probe(config, dataset, should_stop), PROBED_RANGE, "probe")
    return [found[_seedless(config)] for config in waiting]


def probe(config: Config, dataset: Dataset, should_stop: Callable[[], bool] = lambda: False) -> float:
    """Return the seconds that a run with these settings is likely to take, from two short epochs.

    A run that stops early takes less, and one with a time budget takes that. Where only the last layer is trained
    first, that phase and the rest are probed one after another.
    """
    from fmnist import backend, pipeline

    backend.expect_many_models()
    if config.training.time_budget:
        return config.training.time_budget
    frozen, planned = config.transfer.frozen_epochs, config.training.epochs
    if 0 < frozen < planned:
        parts = ({"epochs": frozen}, {"epochs": planned - frozen, "frozen_epochs": 0})
        return sum(probe(config.with_overrides(**part), dataset, should_stop) for part in parts)
    images = min(len(dataset.train_labels), config.data.limit or len(dataset.train_labels))
    short: dict[str, Any] = {"epochs": 2, "limit": min(PROBE_IMAGES, images), "segment_steps": 8, "early_stopping": 0}

    class Clock(Watcher):
        """Notes the seconds that the steps alone take, without the measuring after them, and what comes before."""

        steps = built = features = 0.0

        def network(self, model: Any) -> None:
            self.built = time.monotonic()

        def start(self, progress: Progress, steps: int) -> None:
            self.features = time.monotonic() - self.built

        def segment(self, progress: Progress) -> None:
            self.steps = progress.seconds

    clock, started = Clock(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fmnist-probe-") as folder:
        run = RunDirectory(Path(folder) / "run")
        try:
            config = config.with_overrides(**short)
            pipeline.train(config, dataset, run, watcher=clock, should_stop=should_stop, train_only=True)
        except Diverged:  # it diverges at once: as the real run will, so that this is its time
            return time.monotonic() - started
        epochs = [row["seconds"] for row in read_history(run.history)]
    setup = max(0.0, time.monotonic() - started - 2 * epochs[-1])
    probed, share = short["limit"], config.data.validation_fraction
    measured, to_measure = (min(TRAIN_SAMPLE, n * (1 - share)) + n * share for n in (probed, images))
    pace = (epochs[-1] - clock.steps) / measured  # seconds that it takes to measure an image
    evaluation = pace * len(dataset.test_labels)
    if frozen:  # what is measured after an epoch are features; all images must become some, the test set's too
        setup += clock.features / probed * (images - probed)
        evaluation = clock.features / probed * len(dataset.test_labels)
    return setup + planned * (clock.steps * images / probed + pace * to_measure) + evaluation


def total(forecasts: Sequence[Forecast]) -> tuple[float, float, float]:
    """Return the seconds of all forecasts together, and their range; runs err together, so the ranges add up."""
    seconds, low, high = (sum(getattr(one, name) for one in forecasts) for name in ("seconds", "low", "high"))
    return seconds, low, high


def _forecast(seconds: float, span: tuple[float, float], source: str) -> Forecast:
    return Forecast(seconds, span[0] * seconds, span[1] * seconds, source)


def _seedless(config: Config) -> Config:
    return config.with_overrides(seed=0, **({"fold": 0} if config.data.folds else {}))
