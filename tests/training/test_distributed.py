"""One run over several processes and devices: the same steps as in one process, and what is left where one is lost."""

import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fmnist import backend
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history

PEER = Path(__file__).parents[1] / "support" / "peer.py"
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed: pip install 'fmnist[distributed]'"
)

SMALL = {"filters": [4, 8], "validation_fraction": 0.2, "dropout": 0.3, "batch_normalization": True, "l2": 1e-3}
# One step each, of as many images as neither two nor three divide; then all that a recipe may have.
STEP = {**SMALL, "limit": 599, "batch_size": 479, "optimizer": "sgd", "learning_rate": 0.1, "epochs": 1}
EPOCHS = {**SMALL, "batch_size": 64, "segment_steps": 3, "flip": True, "shift": 1, "mixup": 0.4, "epochs": 2}
RUNS = [STEP, EPOCHS | {"optimizer": "muon", "ema_decay": 0.9}]


# XLA compiles in a third of the time, and the same arithmetic comes out.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}


def environment(**own):
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return ours | {"KERAS_BACKEND": "jax", **QUICK} | own


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def train_all(folder, data, processes, **own):
    """Train `RUNS` in so many processes that join, or in one that does not; return the folder."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    joined = [
        {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(processes), "JAX_PROCESS_ID": str(number)}
        for number in range(processes)
    ] or [{}]
    words = [sys.executable, str(PEER), str(folder), str(data), json.dumps(RUNS)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(words, env=environment(**place, **own), **pipes) for place in joined]
    try:
        said = [process.communicate(timeout=280)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * len(started), said
    return folder


def ended_in(folder, run, process=0):
    """Return all arrays that a run ended in: weights, random states, the optimizer's, averages."""
    arrays, _, problems = checkpoints.load_latest(folder / f"{run}-{process}" / "checkpoints")
    assert not problems
    return arrays


def digest(arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_data_dir):
    """The runs in one process on one device, as Keras trains them."""
    return train_all(tmp_path_factory.mktemp("alone") / "runs", tiny_data_dir, 0)


@pytest.fixture(scope="module")
def two(tmp_path_factory, tiny_data_dir):
    """The runs in two processes."""
    return train_all(tmp_path_factory.mktemp("two") / "runs", tiny_data_dir, 2)


@pytest.fixture(scope="module")
def three_devices(tmp_path_factory, tiny_data_dir):
    """The runs in one process on three devices, as on three GPUs."""
    flags = {"XLA_FLAGS": f"{QUICK['XLA_FLAGS']} --xla_force_host_platform_device_count=3"}
    return train_all(tmp_path_factory.mktemp("three") / "runs", tiny_data_dir, 1, **flags)


@pytest.mark.engine
@needs_jax
@pytest.mark.parametrize("shared", ["two", "three_devices"])
def test_a_step_is_that_of_one_process(shared, alone, request):
    """With batch normalisation, dropout and a penalty on the weights; the random states are the same as well."""
    for array, expected in zip(ended_in(request.getfixturevalue(shared), 0), ended_in(alone, 0), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-6)


@pytest.mark.engine
@needs_jax
@pytest.mark.parametrize("run", range(len(RUNS)))
def test_both_processes_end_in_the_same_bits(run, two):
    assert digest(ended_in(two, run, 0)) == digest(ended_in(two, run, 1))
    first, second = ((two / f"{run}-{process}" / "history.csv").read_bytes() for process in range(2))
    assert first == second  # the seconds too: there is one clock


@pytest.mark.engine
@needs_jax
@pytest.mark.parametrize("shared", ["two", "three_devices"])
def test_epochs_give_the_scores_of_one_process(shared, alone, request):
    def scores(folder):
        rows = read_history(folder / "1-0" / "history.csv")
        return [[row[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")] for row in rows]

    np.testing.assert_allclose(scores(request.getfixturevalue(shared)), scores(alone), rtol=0, atol=1e-3)


def start(*words):
    """Start `fmnist train` on JAX."""
    command = [sys.executable, "-m", "fmnist", "train", *map(str, words)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children(process):
    """Return the processes that another has started, in that order."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for_an_epoch(run, process, epochs):
    while process.poll() is None and not (run.history.is_file() and len(read_history(run.history)) >= epochs):
        time.sleep(0.05)


@pytest.mark.engine
@needs_jax
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_run_that_loses_a_process_goes_on_in_others(tmp_path, tiny_data_dir):
    run = RunDirectory(tmp_path / "run")
    where = ["--runs-dir", tmp_path, "--data-dir", tiny_data_dir]
    recipe = ["--preset", "reference", "--filters", "4,8", "--epochs", "60", "--validation-fraction", "0.2"]
    process = start(*recipe, "--name", "run", "--processes", "2", *where)
    wait_for_an_epoch(run, process, 2)
    os.kill(children(process)[1], signal.SIGKILL)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 1 and "Process 2 of 2 was ended by signal 9" in said, said
    assert "another process of the run has ended" in said and "Traceback" not in said, said
    assert run.state() == "interrupted"

    done = len(read_history(run.history))
    process = start("--resume", "run", "--processes", "3", *where)
    wait_for_an_epoch(run, process, done + 2)
    process.terminate()
    _, said = process.communicate(timeout=15)
    assert process.returncode == 128 + signal.SIGTERM and "Saved; continue with" in said, said
    assert run.state() == "interrupted" and len(read_history(run.history)) >= done + 2

    process = start("--resume", "run", *where)
    said = process.communicate(timeout=120)
    assert process.returncode == 0 and run.state() == "finished" and len(read_history(run.history)) == 60, said


@pytest.mark.engine
@needs_jax
def test_processes_with_other_settings_are_refused(tmp_path, tiny_data_dir):
    address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    words = [sys.executable, "-m", "fmnist", "train", "--distributed", "--preset", "reference", "--epochs", "1"]
    words += ["--runs-dir", str(tmp_path), "--data-dir", str(tiny_data_dir), "--seed"]
    started = [
        subprocess.Popen(
            [*words, str(number)],
            env=environment(**address, JAX_PROCESS_ID=str(number)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 2 and "different settings and checkpoints; give all the same command" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distributed"], "KERAS_BACKEND is 'tensorflow'; several processes train one run on 'jax' alone"),
        (["--processes", "2", "--folds", "3"], "--folds trains several runs"),
        (["--processes", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_shared_is_refused(words, message, run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    code, out, err = run_cli("train", "--runs-dir", tmp_path, *words)
    assert code == 2 and not out and message in err


def test_a_process_alone_answers_for_itself():
    assert backend.of_first({"loss": 0.1, "accuracy": 2 / 3}) == {"loss": 0.1, "accuracy": 2 / 3}
    assert backend.any_of_all(True) is True and backend.any_of_all(False) is False
    assert backend.leave() is True
    before = time.monotonic()
    assert before <= backend.clock() <= time.monotonic()
    backend.check_same(settings={"seed": 0})
