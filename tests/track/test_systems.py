"""The systems themselves: what TensorBoard reads back, and what a real MLflow server keeps and answers.

They need the packages of [track], and MLflow's server Flask.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from support.study_runs import write_run

import fmnist
from fmnist import track
from fmnist.run import facts
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.run.history import read_history, write_history
from fmnist.study import StudyWatcher
from fmnist.track.studies import TrackedStudy
from fmnist.training.progress import Progress

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
RIGHT = np.arange(200) % 10 > 0
MLFLOW = "mlflow", "pandas", "sqlalchemy", "alembic", "flask", "flask_cors"


def need(*packages):
    for package in packages:
        pytest.importorskip(package, reason=f"'{package}' is not installed; pip install 'fmnist[track]' flask-cors")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def server(*command, path, seconds=240):
    """Start `mlflow COMMAND` on loopback, wait until it answers at `path`, and end it and what it started."""
    port = free_port()
    variables = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    words = [sys.executable, "-m", "mlflow", *map(str, command), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(words, env=variables, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, f"{words} does not answer"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    need(*MLFLOW)
    folder = tmp_path_factory.mktemp("mlflow")
    store = ("--backend-store-uri", f"sqlite:///{folder / 'db'}", "--artifacts-destination", folder / "files")
    with server("server", "--workers", 1, *store, path="/health") as address:
        yield address


@pytest.fixture
def client(mlflow_server, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return MlflowClient(mlflow_server)


@pytest.fixture
def patient(monkeypatch):
    """For machines with much else to do."""
    monkeypatch.setattr(track, "PATIENCE", 250)


def interrupted_and_resumed(name, run):
    """Send two of three epochs, as if training were interrupted then; a second command sends the rest."""
    rows, told = read_history(run.history), []
    write_history(run.history, rows[:2])
    write_json(run.status, read_json(run.status) | {"state": "interrupted"})
    with track.Tracking([name], told.append) as tracking:
        tracking.watch(run).start(Progress(epochs=3), 1)
    write_history(run.history, rows)
    write_json(run.status, read_json(run.status) | {"state": "finished"})
    with track.Tracking([name], told.append) as tracking:
        tracking.watch(run).epoch(rows[-1])
    return rows, told


def test_tensorboard_reads_back_what_was_written(tmp_path, patient):
    need("tensorboardX", "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunDirectory(tmp_path / "runs" / "first")
    write_run(run, fmnist.preset("reference", epochs=3), RIGHT)
    run.plots.mkdir()
    from PIL import Image

    Image.new("RGB", (30, 20)).save(run.plots / "curves.png")
    rows, told = interrupted_and_resumed("tensorboard", run)
    assert all(text.startswith("Tracked   TensorBoard: tensorboard --logdir") for text in told)

    def read(folder):
        return EventAccumulator(str(run.tensorboard / folder)).Reload()

    for folder, column in (("train", "train_loss"), ("validation", "val_loss")):
        found = read(folder).Scalars("loss")
        assert [(one.step, one.value) for one in found] == [
            (row["epoch"], pytest.approx(row[column], rel=1e-6)) for row in rows
        ]
    root = read("")
    assert [one.step for one in root.Scalars("learning_rate")] == [1, 2, 3]
    assert root.Scalars("test/accuracy")[0].value == pytest.approx(0.9)
    assert (root.Images("plots/curves")[0].width, root.Images("plots/curves")[0].height) == (30, 20)
    assert {"settings/text_summary", "verdict/text_summary"} <= {*root.Tags()["tensors"]}
    assert "_hparams_/session_start_info" in root.PluginTagToContent("hparams")


def test_mlflow_keeps_a_run_that_was_resumed(client, tmp_path, patient):
    run = RunDirectory(tmp_path / "runs" / "first")
    write_run(run, fmnist.preset("reference", epochs=3, seed=7), RIGHT)
    rows, told = interrupted_and_resumed("mlflow", run)
    kept = client.get_run(read_json(run.mlflow)["run_id"])
    assert len(told) == 2 and kept.info.run_id in told[0] and told[0] == told[1]
    history = client.get_metric_history(kept.info.run_id, "val_loss")
    assert [(one.step, one.value) for one in history] == [(row["epoch"], row["val_loss"]) for row in rows]
    assert (kept.info.run_name, kept.info.status, kept.data.params["seed"]) == ("first", "FINISHED", "7")
    assert {name: kept.data.metrics[name] for name in facts.scores(run)} == facts.scores(run)
    assert kept.data.tags["verdict"] == read_json(run.diagnosis)["verdict"]
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_mlflow_keeps_a_study_as_a_parent_with_children(client, tmp_path, patient):
    folder, runs = tmp_path / "runs" / "remedies", []
    write_json(folder / "study.json", {"state": "finished"})
    with track.Tracking(["mlflow"], lambda text: None) as tracking:
        study = TrackedStudy(tracking, folder, StudyWatcher())
        study.start([], [])
        for seed in (0, 1):
            runs.append(RunDirectory(folder / f"baseline-seed{seed}"))
            write_run(runs[-1], fmnist.preset("reference", epochs=2, seed=seed), RIGHT)
            study.end(runs[-1])
    parent = client.get_run(read_json(folder / "mlflow.json")["run_id"])
    assert (parent.info.run_name, parent.info.status) == ("remedies", "FINISHED")
    query = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = client.search_runs([parent.info.experiment_id], query)
    assert {child.info.run_name for child in children} == {run.name for run in runs}


def test_mlflow_serves_the_model_with_the_same_answers(client, tmp_path, tiny_run, tiny_dataset, patient):
    """`mlflow models serve` answers to 1e-6 like `fmnist predict`, whose LiteRT file it has."""
    import shutil

    run = RunDirectory(shutil.copytree(tiny_run.path, tmp_path / "runs" / "served"))
    told = []
    with track.Tracking(["mlflow"], told.append) as tracking:
        tracking.watch(run).start(Progress(epochs=2), 1)
        tracking.export(run, tiny_dataset)
    kept = client.get_run(read_json(run.mlflow)["run_id"])
    assert {one.path for one in client.list_artifacts(kept.info.run_id)} >= {"plots", "report.html"}, told
    (output,) = kept.outputs.model_outputs
    images = tiny_dataset.test_images[:5]
    serve = ("models", "serve", "--env-manager", "local", "--model-uri", f"models:/{output.model_id}", "--workers", 1)
    with server(*serve, path="/ping") as address:
        request = urllib.request.Request(
            f"{address}/invocations",
            json.dumps({"inputs": images.tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        answer = json.loads(urllib.request.urlopen(request, timeout=60).read())["predictions"]
    assert np.allclose(answer, fmnist.open_model(run).probabilities(images), atol=1e-6)


@pytest.mark.parametrize("seconds", [None, 5])
def test_a_server_that_does_not_answer_or_is_slow_is_told_once(seconds, tmp_path, monkeypatch):
    """It accepts connections; after 5 seconds, or never, it says something."""
    need(*MLFLOW[:4])
    import threading

    run = RunDirectory(tmp_path / "runs" / "first")
    write_run(run, fmnist.preset("reference", epochs=3), RIGHT)
    monkeypatch.setattr(track, "PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listening.getsockname()[1]}")
        if seconds:

            def answer():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        time.sleep(seconds)
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}")
                        connection.close()

            threading.Thread(target=answer, daemon=True).start()
        told = []
        with track.Tracking(["mlflow"], told.append) as tracking:
            watcher = tracking.watch(run)
            for row in read_history(run.history) * 100:
                watcher.epoch(row)
    assert len(told) == 1 and told[0].startswith("Tracking  MLflow failed: ")
