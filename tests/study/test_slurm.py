"""The engine Slurm: what is submitted and how answers are read, with stand-ins; engine: a study on a real cluster."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import slurm_cluster
from support.kills import outcome
from support.slurm_cluster import wait_for
from support.study_runs import timeless

from fmnist.errors import InputError, RunError
from fmnist.run import lock, results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.study.engines import open_engine, slurm, tasks

COMMANDS = ("sbatch", "squeue", "scancel")


class StandIns:
    """Slurm's commands in a folder on the path: they note what they are given, and print what they are told to."""

    def __init__(self, folder):
        self.folder = folder
        fail = '{ echo "error: no such thing" >&2; exit 1; }'
        answer = f'printf "%s\\n" "$@" >"$0.got"; cat "$0.says" 2>/dev/null || {fail}'
        for name in COMMANDS:
            self.say(name, "")
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)

    def say(self, command, text):
        (self.folder / f"{command}.says").write_text(text)

    def fail(self, command):
        (self.folder / f"{command}.says").unlink()

    def got(self, command):
        return (self.folder / f"{command}.got").read_text().splitlines()


@pytest.fixture
def commands(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_PAUSE", -1)
    return StandIns(folder)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three task files, whose workers only say their names."""
    monkeypatch.setattr(tasks, "command", lambda task: ["echo", f"worker of {task.name}"])
    (tmp_path / "a study's").mkdir()
    return [tmp_path / "a study's" / f"{name}.json" for name in "abc"]


@pytest.fixture
def engine(commands, files):
    def make(options="", **how):
        return open_engine("slurm", folder=files[0].parent, **{"threads": 1, "gpus": 0} | how, options=options)

    return make


@pytest.fixture
def submitted(engine, commands, files):
    """An engine whose three tasks are in an array with the number 7."""
    commands.say("sbatch", "7;cluster\n")
    made = engine()
    assert made.submit(files) == ["7_0", "7_1", "7_2"]
    return made


def answer(files, *states, codes=(0, 0, 0)):
    """Return what squeue says about the array."""
    [script] = files[0].parent.glob("*.sh")
    rows = zip(range(3), states, codes, strict=False)
    return "".join(f"7|{index}|{state}|{script.stem}|{code}|n1\n" for index, state, code in rows)


def test_an_array_has_a_task_for_each_file(engine, commands, files):
    commands.say("sbatch", "7\n")
    engine("--partition=gpu --comment='for the paper'", threads=2, gpus=1).submit(files)
    *given, script = commands.got("sbatch")
    wanted = {"--cpus-per-task=2", "--gres=gpu:1", "--partition=gpu", "--comment=for the paper", "--array=0-2"}
    assert wanted < set(given)
    on_the_node = shutil.copy(script, commands.folder / "slurm_script")
    subprocess.run(["sh", on_the_node], env=os.environ | {"SLURM_ARRAY_TASK_ID": "1"}, check=True)
    assert tasks.log(files[1]).read_text() == "worker of b.json\n"
    assert not tasks.log(files[0]).exists()


def test_a_task_is_waiting_running_done_or_failed(submitted, commands, files):
    commands.say("squeue", answer(files, "PENDING", "COMPLETING", "NODE_FAIL"))
    assert submitted.poll(["7_0", "7_1", "7_2"]) == {"7_0": "waiting", "7_1": "running", "7_2": "failed"}
    commands.say("squeue", answer(files, "RUNNING", "COMPLETED"))
    assert submitted.poll(["7_0", "7_1", "7_2"]) == {"7_0": "running", "7_1": "done", "7_2": "failed"}
    commands.say("squeue", "")  # after some minutes Slurm forgets what has ended
    assert submitted.poll(["7_0", "7_1", "7_2"]) == {"7_0": "failed", "7_1": "done", "7_2": "failed"}


def test_a_new_driver_submits_only_what_is_not_in_the_queue(submitted, engine, commands, files):
    commands.say("squeue", answer(files, "RUNNING", "FAILED", "PENDING"))
    commands.say("sbatch", "8\n")
    assert engine().submit(files) == ["7_0", "8_0", "7_2"]
    script = Path(commands.got("sbatch")[-1]).read_text()
    assert "worker of b.json" in script and "worker of a.json" not in script


def test_an_array_is_as_large_as_slurm_allows(engine, commands, files, monkeypatch):
    monkeypatch.setattr(slurm, "_MAX_ARRAY", 2)
    commands.say("sbatch", "7\n")
    assert engine().submit(files) == ["7_0", "7_1", "7_0"]


def test_a_silent_controller_is_waited_for(submitted, commands, files, monkeypatch):
    commands.say("squeue", answer(files, "RUNNING", "RUNNING", "COMPLETED"))
    before = submitted.poll(["7_0", "7_2"])
    commands.fail("squeue")
    assert submitted.poll(["7_0", "7_2"]) == before
    monkeypatch.setattr(slurm, "_PATIENCE", -1)
    with pytest.raises(RunError, match="squeue --me .*: error: no such thing"):
        submitted.poll(["7_0"])


def test_a_node_without_the_folder(submitted, commands, files):
    script = files[0].parent / commands.got("sbatch")[-1]
    on_the_node = shutil.move(script, commands.folder / "slurm_script")
    code = subprocess.run(["sh", on_the_node], env=os.environ | {"SLURM_ARRAY_TASK_ID": "1"}, check=False).returncode
    shutil.move(on_the_node, script)
    commands.say("squeue", answer(files, "PENDING", "FAILED", codes=(0, code << 8)))
    with pytest.raises(RunError, match=r"node n1 does not see .*a study's.*choose a folder"):
        submitted.poll(["7_0", "7_1"])


def test_close_takes_what_is_left_from_the_queue(submitted, commands, files):
    commands.say("squeue", answer(files, "RUNNING", "COMPLETED", "PENDING"))
    submitted.poll(["7_0"])
    submitted.close()
    assert commands.got("scancel") == ["7_0", "7_2"]


def test_what_cannot_be_submitted_is_told(engine, commands, files, tmp_path, monkeypatch):
    with pytest.raises(InputError, match='got `engine_options=--mem="2G` .*expected options of sbatch'):
        engine('--mem="2G')
    commands.fail("sbatch")
    with pytest.raises(RunError, match=r"sbatch --no-requeue .* --mem=2Q .*: error: no such thing"):
        engine("--mem=2Q").submit(files)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="'sbatch', which is not on the path"):
        engine()
    with pytest.raises(InputError, match="got `engine=slurm:login1`, expected slurm"):
        open_engine("slurm:login1", folder=tmp_path, threads=1, gpus=0, options="")


@pytest.fixture(scope="module")
def cluster():
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    with slurm_cluster.running() as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(started.configuration))
        yield started


@pytest.mark.engine
def test_a_real_cluster_answers_as_the_stand_ins_do(cluster, files, monkeypatch):
    monkeypatch.setattr(slurm, "_PAUSE", -1)
    work = "trap 'echo saved; exit 143' TERM; echo begun; while true; do sleep 0.1; done"
    monkeypatch.setattr(tasks, "command", lambda task: ["sh", "-c", work])
    how = {"folder": files[0].parent, "threads": 1, "gpus": 0}
    with pytest.raises(RunError, match="sbatch .* --partition=none .*invalid partition"):
        open_engine("slurm", **how, options="--partition=none").submit(files)
    engine = open_engine("slurm", **how, options="")
    handles = engine.submit(files)
    wait_for(lambda: list(engine.poll(handles).values()) == ["running", "running", "waiting"])
    assert open_engine("slurm", **how, options="").submit(files) == handles
    wait_for(lambda: tasks.log(files[0]).exists() and tasks.log(files[1]).exists())
    engine.cancel(handles)
    wait_for(lambda: set(engine.poll(handles).values()) == {"failed"})
    said = [tasks.log(file).read_text() if tasks.log(file).exists() else "" for file in files]
    assert said[0].endswith("saved\n") and said[1].endswith("saved\n") and not said[2]
    monkeypatch.setattr(slurm, "_SCRIPT", slurm._SCRIPT.replace("-f {script}", "-f {script}.not-here"))
    handles = engine.submit(files[:1])
    with pytest.raises(RunError, match="node n1 does not see the folder"):
        wait_for(lambda: "failed" in engine.poll(handles).values())


STUDY = """
preset: reference
settings: {filters: [4, 8, 8], epochs: 3, batch_size: 32, segment_steps: 4, threads: 1}
variants: {flip: {flip: true}}
seeds: 2
"""
DRIVER = """
import sys, fmnist
study, data, folder, engine = sys.argv[1:]
fmnist.compare(fmnist.read_study(study), fmnist.load_dataset(data), folder, runner=fmnist.runner_on(engine))
"""


class Carried:
    """The study in a folder of its own, carried out by a driver in a process of its own while the block lasts."""

    def __init__(self, folder, data, engine):
        (path := folder / "tiny.yaml").write_text(STUDY)
        self.folder = folder / engine
        self.command = [sys.executable, "-c", DRIVER, path, data, self.folder, engine]
        names = ("baseline-seed0", "flip-seed0", "baseline-seed1", "flip-seed1")
        self.runs = [RunDirectory(self.folder / name) for name in names]

    def __enter__(self):
        self.driver = subprocess.Popen(self.command)
        return self

    def __exit__(self, *_):
        self.driver.kill()
        self.driver.wait()

    def finish(self):
        assert self.driver.wait() == 0

    def submitted(self):
        """Return how many tasks were submitted, all arrays together."""
        return sum(len(slurm._lines(script)) for script in self.folder.glob("tasks/*.sh"))

    def training(self):
        """Return the runs that a worker holds."""
        return [run for run in self.runs if lock.is_held(run.path)]

    def worker(self, run):
        return int(re.findall(r"in process (\d+)", (self.folder / "tasks" / f"{run.name}.log").read_text())[-1])

    def result(self):
        """Return the result and all that the runs ended in, but the times."""
        runs = [(outcome(run), results.predictions(run).probabilities.tobytes()) for run in self.runs]
        return timeless(read_json(self.folder / "study.json")) | {"name": "tiny", "runs": runs}


@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_a_study_that_loses_driver_worker_and_node_ends_as_in_turn(cluster, tiny_data_dir, tmp_path):
    with Carried(tmp_path, tiny_data_dir, "slurm") as study:
        wait_for(study.training)
    with study:
        wait_for(lambda: len(study.training()) == 2)
        os.kill(study.worker(study.training()[0]), signal.SIGKILL)
        wait_for(lambda: len(study.training()) == 2)
        cluster.kill_node("n2")
        cluster.start_node("n2")
        study.finish()
    assert study.submitted() == 4 + 2  # the second driver found the first one's four tasks
    with Carried(tmp_path, tiny_data_dir, "in-turn") as in_turn:
        in_turn.finish()
    assert study.result() == in_turn.result()
