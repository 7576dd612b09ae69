"""Sweeps whose runs are really trained: with kills, on a database, and the page in a browser."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support import sweep_kills
from support.sweep_runs import MadeUp, score

from fmnist import pipeline, tune
from fmnist.config import Range
from fmnist.run.directory import RunDirectory, read_json
from fmnist.study.tuning.journal import FILE
from fmnist.study.tuning.sweep import Sweep
from fmnist.training.progress import Interrupted

SETTINGS = {"epochs": 2, "filters": (4, 8), "batch_size": 64, "segment_steps": 4}
SEARCH = {"learning_rate": None, "dropout": Range(0.0, 0.4)}
SMALL = Sweep("small", "", "reference", SETTINGS, SEARCH)
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def test_trials_are_trained_and_the_best_one_is_scored(tiny_dataset, tmp_path):
    folder = tmp_path / "small"
    result = tune(SMALL, tiny_dataset, folder, trials=2)
    best = RunDirectory(folder / result["best"]["run"])
    assert result["best"]["test"]["accuracy"] == read_json(best.metrics)["accuracy"] and best.report.is_file()
    assert [path.parent.name for path in folder.glob("*/metrics.json")] == [best.name]
    assert all((folder / row["run"] / "diagnosis.json").is_file() for row in result["trials"])


@pytest.mark.slow
def test_a_killed_driver_loses_and_doubles_no_trial(tiny_data_dir, tmp_path):
    words = ["--preset", "reference", "--filters", "4,8", "--epochs", "4", "--segment-steps", "4", "--trials", "8"]
    whole, killed = (
        sweep_kills.carry_out(tmp_path / name, sweep_kills.command(tmp_path / name, tiny_data_dir, words), kills)
        for name, kills in (("whole", 0), ("killed", 3))
    )
    assert killed.kills == 3 and len(killed.trials) == 8
    assert sweep_kills.timeless(killed.trials) == sweep_kills.timeless(whole.trials)


@pytest.fixture
def database():
    """The address of a PostgreSQL server of its own, which the database's user keeps in a folder of its own."""
    if POSTGRES is None:
        pytest.skip("there is no PostgreSQL here; on Debian: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="pip install 'fmnist[postgresql]'")
    folder = Path(tempfile.mkdtemp(prefix="fmnist-postgresql-"))
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}  # never as root
    if user:
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place, how = str(folder / "data"), {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **user}
    subprocess.run([POSTGRES / "initdb", "-D", place, "-U", "test", "--auth", "trust"], check=True, **how)
    only_here = ["-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen([POSTGRES / "postgres", "-D", place, *only_here], **how)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"postgresql://test@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # a shutdown that does not wait for clients
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.engine
def test_records_in_a_database(tiny_dataset, tmp_path, database, monkeypatch):
    """A sweep that is stopped and goes on has the same trials as one whose records lie in a file."""
    monkeypatch.setattr(pipeline, "resume", score)
    folder, stops = tmp_path / "small", iter([False] * 5 + [True])
    with pytest.raises(Interrupted):
        tune(SMALL, tiny_dataset, folder, trials=8, storage=database, runner=MadeUp(), should_stop=lambda: next(stops))
    result = tune(SMALL, tiny_dataset, folder, trials=8, storage=database, runner=MadeUp())
    in_a_file = tune(SMALL, tiny_dataset, tmp_path / "file" / "small", trials=8, runner=MadeUp())
    assert sweep_kills.timeless(result["trials"]) == sweep_kills.timeless(in_a_file["trials"])
    assert len(result["trials"]) == 8 and not (folder / FILE).exists()
