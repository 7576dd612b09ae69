"""Runs that are killed and resumed again and again, and what they end in."""

import hashlib
import io
import random
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fmnist import diagnosis
from fmnist.errors import RunError
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

VICTIM = Path(__file__).with_name("victim.py")
SECONDS_BETWEEN_SAVES = 0.3
# All that a run has to remember: dropout's random state, augmentation, a schedule, early stopping with its best
# weights, averages of the weights and of batch normalisation, the moments of four optimizers, how images were mixed.
COMMON = ["--validation-fraction", "0.2", "--batch-size", "32", "--segment-steps", "3", "--train-only"]
COMMON += ["--early-stopping", "8"]
SETTINGS = tuple(
    text.split()
    for text in (
        "--preset reference --filters 4,8,8 --dropout 0.3 --rotation 10 --zoom 0.1 --schedule triangle --epochs 60",
        "--preset reference --filters 4,8 --dropout 0.2,0.2,0.4 --batch-normalization --erase 0.3 --optimizer sgd "
        "--learning-rate 0.03 --schedule triangle --epochs 60",
        "--preset fast --flip --shift 1 --dropout 0.2 --epochs 60",
        "--preset reference --filters 8,8 --dropout 0.3 --flip --shift 2 --optimizer adamw --weight-decay 0.01 "
        "--l2 1e-4 --epochs 60",
        "--preset reference --family vgg --filters 8,8 --dropout 0.3 --erase 0.3 --rotation 5 --schedule triangle "
        "--label-smoothing 0.1 --epochs 60",
        "--preset fast --family residual --filters 8,8,8 --flip --cutmix 1 --mixup 0.2 --ema-decay 0.95 --epochs 60",
    )
)


def start(run: RunDirectory, data: Path, arguments: list[str], kill: str = "-", *, resume: bool = False):
    """Start a run, or go on with it, in a process of its own; it writes `training` when it begins to."""
    what = ["--resume", str(run.path), "--train-only"] if resume else ["--name", run.name, *COMMON, *arguments]
    where = ["--runs-dir", str(run.path.parent), "--data-dir", str(data)]
    return subprocess.Popen(
        [sys.executable, str(VICTIM), str(SECONDS_BETWEEN_SAVES), kill, *what, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process) -> None:
    """Wait for a process that is to end well."""
    _, said = process.communicate(timeout=300)
    if process.returncode:
        raise AssertionError(f"exit code {process.returncode}: {said.decode()[-1000:]}")


def outcome(run: RunDirectory) -> dict:
    """Return all that a run ended in but its times, the model's and the last checkpoint's arrays as hashes."""
    arrays, state, problems = checkpoints.load_latest(run.checkpoints)
    history, status = read_history(run.history), read_json(run.status)
    verdict = diagnosis.diagnose(_timeless(history), validation_size=120).to_dict()
    return {
        "problems": problems,
        "model": _model_hash(run.model),
        "arrays": hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest(),
        "state": {**state, "seconds": 0, "history": _timeless(state["history"])},
        "history": _timeless(history),
        "status": status | {"seconds": 0},
        "verdict": {key: verdict[key] for key in ("verdict", "certainty", "gap_opens", "turns", "best_epoch")},
    }


def _timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def _model_hash(path: Path) -> str:
    """Return a hash of the weights in a `.keras` file; the file itself has a date."""
    import h5py

    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(
            lambda name, item: digest.update(np.asarray(item).tobytes()) if hasattr(item, "dtype") else None
        )
    return digest.hexdigest()


@dataclass
class Tally:
    """How often runs were killed, and what came of it."""

    at_random: int = 0
    inside_saves: int = 0
    runs: int = 0
    equal: int = 0
    unreadable: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)  # seconds from a start to its first step


def kill_and_resume(
    folder: Path, data: Path, arguments: list[str], rng: random.Random, plan: list[str], tally: Tally
) -> None:
    """Kill a run as planned, resume it each time, and compare its end with an uninterrupted one's.

    Args:
        folder: for the two runs.
        data: the data folder.
        arguments: the run's settings.
        rng: where the moments are drawn from.
        plan: `random` and `save`, a kill each; what the run did not live to see stays in it.
        tally: is added to.
    """
    whole, killed = RunDirectory(folder / "whole"), RunDirectory(folder / "killed")
    finish(start(whole, data, arguments))
    while plan and not _is_finished(killed):
        kind = plan[-1]
        began = time.monotonic()
        kill = f"{rng.randint(1, 3)}:{rng.randint(1, 30)}" if kind == "save" else "-"
        process = start(killed, data, arguments, kill, resume=killed.exists())
        if kind == "random":
            if rng.random() < 0.1:  # while it starts
                time.sleep(rng.uniform(0, 3))
            elif process.stdout.readline():
                tally.starts.append(time.monotonic() - began)
                time.sleep(rng.uniform(0, 1.5))
            process.kill()
        process.communicate(timeout=300)
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            tally.unreadable.append(f"{arguments}: exit code {process.returncode}")
            return
        plan.pop()
        tally.at_random += kind == "random"
        tally.inside_saves += kind == "save"
        _expect_readable(killed, tally)
    if not _is_finished(killed):
        finish(start(killed, data, arguments, resume=killed.exists()))
    tally.runs += 1
    tally.equal += outcome(killed) == outcome(whole)


def _is_finished(run: RunDirectory) -> bool:
    return run.exists() and run.state() == "finished"


def _expect_readable(run: RunDirectory, tally: Tally) -> None:
    """Note a run whose newest checkpoint is damaged, which a kill must never do; before the first one there is none."""
    try:
        if checkpoints.complete(run.checkpoints) and (problems := checkpoints.load_latest(run.checkpoints)[2]):
            tally.unreadable += problems
    except RunError as error:
        tally.unreadable.append(str(error))
