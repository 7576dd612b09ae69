"""Workers for tests of engines, called with a task file: ones that die, fail, or only pretend to train."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from fmnist.run.directory import RunDirectory, read_json


def task(argv):
    return read_json(Path((argv or sys.argv)[-1]))


def saving_often(argv=None):
    from fmnist.study.engines import worker
    from fmnist.training import state

    state.CHECKPOINT_SECONDS = 0.0
    worker.main(argv)


def dying_once(argv=None):
    """Save after every segment; the worker of the run `killed` ends itself right after its fifth save, once."""
    from fmnist.training import state

    run, save, saves = Path(task(argv)["run"]), state.TrainingState.save, []

    def counted(*arguments):
        save(*arguments)
        saves.append(1)
        if run.name == "killed" and len(saves) == 5 and not (mark := run.parent / "was-killed").exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    state.TrainingState.save = counted
    saving_often(argv)


def failing(argv=None):
    sys.exit("there is no room left\n")


def pretending(argv=None):
    """Hold the run for a second, and leave a copy of the finished run `model` beside the study; SIGTERM ends it."""
    run = RunDirectory(task(argv)["run"])
    print("begun", flush=True)
    with run.lock():
        time.sleep(1)
        shutil.copytree(run.path.parents[1] / "model", run.path, dirs_exist_ok=True)


def waiting(argv=None):
    """Wait for SIGTERM, and then leave a file as a saved run would."""
    run = RunDirectory(task(argv)["run"])
    signal.signal(signal.SIGTERM, lambda *_: (run.path / "saved").touch() or sys.exit(143))
    with run.lock():
        time.sleep(60)
