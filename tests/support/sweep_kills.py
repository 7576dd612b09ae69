"""Sweeps whose driver is killed again and again, and what they end in."""

import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from fmnist.run.directory import read_json
from fmnist.study.tuning.journal import FILE

# `fmnist`, with a checkpoint after every segment.
PROGRAM = (
    "import sys; from fmnist.training import state; state.CHECKPOINT_SECONDS = 0.0; "
    "from fmnist import cli; sys.exit(cli.main(sys.argv[1:]))"
)


@dataclass
class Tally:
    """How often drivers were killed, and what the sweep ended in."""

    kills: int = 0
    alive: list[float] = field(default_factory=list)  # seconds that each killed driver lived for
    trials: list[dict] = field(default_factory=list)


def command(folder: Path, data: Path, words: list[str]) -> list[str]:
    """Return the command line of a sweep; `words` stand after its name."""
    where = ["--runs-dir", str(folder.parent), "--data-dir", str(data), "--quiet"]
    return [sys.executable, "-c", PROGRAM, "tune", folder.name, *where, *words]


def carry_out(folder: Path, command: list[str], kills: int = 0, seed: int = 0, within: float = 4.0) -> Tally:
    """Carry out a sweep with so many SIGKILLs of its driver, each soon after it begins to write records.

    Args:
        folder: of the sweep.
        command: the driver's.
        kills: at most; a sweep that ends before is not killed any more.
        seed: decides the moments.
        within: the seconds after a driver's first record in which it is killed, at most.
    """
    rng, tally, journal = random.Random(seed), Tally(), folder / FILE
    while True:
        before = journal.stat().st_size if journal.is_file() else 0
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if tally.kills < kills:
            while process.poll() is None and (not journal.is_file() or journal.stat().st_size == before):
                time.sleep(0.05)
            if process.poll() is None:
                time.sleep(rng.uniform(0, within))
            process.kill()
        _, said = process.communicate(timeout=600)
        if process.returncode == 0:
            break
        if process.returncode > 0:
            raise AssertionError(f"exit code {process.returncode}: {said.decode()[-1000:]}")
        tally.kills += 1
        tally.alive.append(round(time.monotonic() - started, 1))
    tally.trials = read_json(folder / "sweep.json")["trials"]
    return tally


def timeless(trials: list[dict]) -> list[dict]:
    """Leave out the times."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in trials]
