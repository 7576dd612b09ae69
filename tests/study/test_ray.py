"""Studies on real Ray: two nodes, killed workers, nodes and drivers; what listens, and that nothing is reported."""

import http.server
import importlib.util
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support import sockets
from support.kills import outcome
from support.study_runs import timeless

from fmnist.run import results
from fmnist.run.directory import RunDirectory, list_runs, read_json
from fmnist.study import is_done

MISSING = "Ray is not installed; pip install 'fmnist[cluster]' brings it"
pytestmark = [pytest.mark.engine, pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason=MISSING)]

TESTS = Path(__file__).parents[1]
STUDY = """\
settings: {filters: [4, 8, 8], epochs: 12, batch_size: 32, segment_steps: 4, threads: 1}
seeds: 2
variants:
  dropout: {dropout: 0.3}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    paths = os.pathsep.join([str(TESTS), *map(os.path.abspath, filter(None, sys.path))])
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    silent = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9"}
    silent["RAY_worker_niceness"] = "0"  # else a busy machine hardly lets them run
    return os.environ | {"PYTHONPATH": paths} | token | silent


@pytest.fixture(scope="module")
def cluster(environment):
    """Two nodes; what it gives is their address, and a function that kills the second one."""
    words = [sys.executable, str(TESTS / "support" / "ray_nodes.py")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def kill_second():
        process.stdin.write("kill\n")
        process.stdin.flush()
        while "killed" not in process.stdout.readline():
            pass

    try:
        yield next(line for line in process.stdout if re.fullmatch(r"[\d.]+:\d+\n", line)).strip(), kill_second
    finally:
        process.stdin.close()
        process.wait(60)


def start(folder, data, engine, environment):
    (folder.parent / "mine.yaml").write_text(STUDY, "utf-8")
    words = [sys.executable, str(TESTS / "support" / "driver.py"), "compare", str(folder.parent / "mine.yaml")]
    words += ["--runs-dir", str(folder), "--data-dir", str(data), "--engine", engine]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said[-3000:]


def until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def workers(study, name):
    """The process of each worker that a run has had."""
    log = study / "tasks" / f"{name}.log"
    return [int(pid) for pid in re.findall(r"in process (\d+) on", log.read_text())] if log.exists() else []


def begun(study, name, epochs=2):
    history = study / name / "history.csv"
    return history.is_file() and len(history.read_text().splitlines()) > epochs


@pytest.mark.timeout(1200)
def test_a_worker_a_node_and_the_driver_are_killed(tmp_path, tiny_data_dir, environment, cluster):
    address, kill_second_node = cluster
    finish(start(tmp_path / "turn", tiny_data_dir, "in-turn", environment))
    study = tmp_path / "ray" / "mine"
    driver = start(tmp_path / "ray", tiny_data_dir, f"ray:{address}", environment)
    until(lambda: begun(study, "baseline-seed0") and begun(study, "dropout-seed0"))
    os.kill(workers(study, "baseline-seed0")[0], signal.SIGKILL)
    until(lambda: len(workers(study, "baseline-seed0")) > 1)
    kill_second_node()
    until(lambda: begun(study, "baseline-seed1") or begun(study, "dropout-seed1"))
    driver.kill()
    driver.communicate()
    left = [run.name for run in list_runs(study) if not is_done(run)]
    assert left, "there is to be something left to do"
    finish(start(tmp_path / "ray", tiny_data_dir, f"ray:{address}", environment))
    assert sum(len(workers(study, run.name)) for run in list_runs(study)) >= 6
    whole = tmp_path / "turn" / "mine"
    assert timeless(read_json(study / "study.json")) == timeless(read_json(whole / "study.json"))
    for run in list_runs(whole):
        other = RunDirectory(study / run.name)
        assert outcome(run) == outcome(other)
        assert np.array_equal(results.predictions(run).probabilities, results.predictions(other).probabilities)


LOCAL = """
import sys
from pathlib import Path
from fmnist.study.engines import open_engine, ray

ray.SETTINGS["RAY_USAGE_STATS_REPORT_URL"] = sys.argv[2]
engine = open_engine("ray", folder=Path(sys.argv[1]), threads=1, gpus=0, options="")
print("open", flush=True)
sys.stdin.read()
engine.close()
"""


@pytest.mark.timeout(600)
def test_a_cluster_of_this_machine_listens_on_loopback_alone_and_reports_nothing(tmp_path, environment):
    asked = []

    class Report(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)

    server = http.server.HTTPServer(("127.0.0.1", 0), Report)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = [sys.executable, "-c", LOCAL, str(tmp_path), f"http://127.0.0.1:{server.server_port}"]
    often = environment | {"RAY_USAGE_STATS_REPORT_INTERVAL_S": "1"}
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=often)
    try:
        assert any(line == "open\n" for line in process.stdout)
        time.sleep(5)
        found = sockets.listening(process.pid)
    finally:
        process.communicate("", timeout=60)
        server.shutdown()
        server.server_close()
    assert len(found) > 3 and all(found.values()), found
    assert asked == []
