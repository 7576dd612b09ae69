"""Runs that are killed at any moment go on to the same bits; a second writer is refused; signals are heard."""

import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from support import kills

from fmnist.cli.stop_signals import StopSignals
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory, write_json

SAVER = """
import sys
import numpy as np
from support import victim
from pathlib import Path
from fmnist.run import checkpoints
class training:
    @staticmethod
    def save(step):
        checkpoints.save(Path(sys.argv[1]), step, [np.full(50_000, step)], {"step": step})
victim.kill_inside(training, int(sys.argv[3]), int(sys.argv[4]))
for step in range(int(sys.argv[2]), int(sys.argv[2]) + 9):
    training.save(step)
    print(step, flush=True)
"""


def kill_inside_a_save(folder, rng):
    """Kill a process inside one of its saves; return the last step that it had saved before."""
    latest = checkpoints.load_latest(folder)[1]["step"] if checkpoints.complete(folder) else 0
    words = [str(folder), str(latest + 1), str(rng.randint(1, 4)), str(rng.randint(1, 26))]
    done = subprocess.run(
        [sys.executable, "-c", SAVER, *words], stdout=subprocess.PIPE, text=True, cwd=kills.VICTIM.parents[1]
    )
    assert done.returncode == -signal.SIGKILL
    return int(done.stdout.split()[-1]) if done.stdout.split() else latest


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_inside_a_save_the_newest_whole_checkpoint_is_found(count, tmp_path):
    rng = random.Random(1)
    for _ in range(count):
        saved = kill_inside_a_save(tmp_path, rng)
        if not checkpoints.complete(tmp_path):
            assert saved == 0
            continue
        (array,), state, problems = checkpoints.load_latest(tmp_path)
        assert problems == [] and saved <= state["step"] <= saved + 1
        assert (array == state["step"]).all()


def test_a_run_killed_inside_a_save_ends_the_same(tmp_path, tiny_data_dir, run_cli):
    """Only the killed process is one of its own here: what a start costs is most of the test."""
    settings, where = [*kills.SETTINGS[0][:-1], "8"], ["--runs-dir", tmp_path, "--data-dir", tiny_data_dir]
    assert run_cli("train", "--name", "whole", *kills.COMMON, *settings, *where)[0] == 0
    whole, killed = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "killed")
    process = kills.start(killed, tiny_data_dir, settings, kill="2:7")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert len(checkpoints.complete(killed.checkpoints)) == 1 and len(killed.leftovers()) == 1
    assert run_cli("train", "--resume", killed.path, "--train-only", "--data-dir", tiny_data_dir)[0] == 0
    assert kills.outcome(killed) == kills.outcome(whole)
    assert killed.leftovers() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_deterministic_operations_give_the_same_bits(tmp_path, tiny_data_dir):
    """In processes of their own, since TensorFlow has no way back."""
    ends = []
    for name in ("first", "second"):
        run = RunDirectory(tmp_path / name)
        kills.finish(kills.start(run, tiny_data_dir, [*kills.SETTINGS[2][:-1], "2", "--deterministic"]))
        ends.append(kills.outcome(run))
    assert ends[0] == ends[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("settings", [*kills.SETTINGS[1:3], kills.SETTINGS[-1]], ids=["dropout", "fast", "mixed"])
def test_a_run_killed_again_and_again_ends_the_same(settings, tmp_path, tiny_data_dir):
    tally, plan = kills.Tally(), ["save", "random", "random", "save", "random"]
    kills.kill_and_resume(tmp_path, tiny_data_dir, settings, random.Random(3), plan, tally)
    assert plan == [] and tally.unreadable == []
    assert (tally.runs, tally.equal) == (1, 1)


def test_a_second_process_is_refused_before_it_loads_keras(tmp_path, tiny_data_dir):
    run = RunDirectory(tmp_path / "run")
    code = (
        "import sys; from fmnist.cli import main; code = main(sys.argv[1:])\n"
        "sys.exit(10 * code + any(name in sys.modules for name in ('keras', 'tensorflow')))"
    )
    words = ["train", "--runs-dir", str(tmp_path), "--name", "run", "--data-dir", str(tiny_data_dir)]
    with run.lock():
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 10, done.stderr
    assert f"{run.path} is in use by another process" in done.stderr
    assert not run.exists()


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    run = RunDirectory(tmp_path / "run")
    write_json(run.config, {})
    run.plots.mkdir()
    left = [run.path / ".writing-model-x.keras", run.plots / ".writing-curves-x.png", run.checkpoints / ".writing-x"]
    left[2].mkdir(parents=True)
    (left[2] / "arrays.npz").touch()
    left[0].touch()
    left[1].touch()
    (run.path / ".notes").touch()
    assert sorted(run.leftovers()) == sorted(left)
    with run.lock():
        assert not any(path.exists() for path in left)
    assert run.config.exists() and (run.path / ".notes").exists()


class TestSignals:
    @pytest.mark.parametrize(
        "work",
        ["time.sleep(60)", "lock = ctypes.create_string_buffer(64); take(lock); take(lock)"],
        ids=["Python", "C"],
    )
    def test_sigterm_ends_a_process_that_does_not_save_in_time(self, work):
        """In Python and in a library, where Python's handlers of signals wait."""
        code = (
            "import ctypes, os, signal, threading, time; from fmnist.cli.stop_signals import StopSignals\n"
            "take, StopSignals.seconds = ctypes.CDLL(None).pthread_mutex_lock, 0.2\n"
            "with StopSignals():\n"
            "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
            f"    {work}"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
        assert done.returncode == 143
        assert "Not saved in time; --resume continues from the last checkpoint" in done.stderr

    def test_one_that_saves_in_time_goes_on(self, monkeypatch):
        monkeypatch.setattr(StopSignals, "seconds", 0.2)
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop()
        time.sleep(0.4)  # the process would have ended by now
        assert not any("_watch" in thread.name for thread in threading.enumerate())

    @pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
    def test_a_second_one_ends_at_once(self, number, end):
        with StopSignals(), pytest.raises(end) as caught:
            signal.raise_signal(number)
            signal.raise_signal(number)
        if end is SystemExit:
            assert caught.value.code == 143
