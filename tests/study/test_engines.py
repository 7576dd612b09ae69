"""Runs on engines: what the driver submits, submits again, waits for and gives up; with plain processes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.kills import outcome

import fmnist
from fmnist.errors import InputError, RunError
from fmnist.run import lock, results
from fmnist.run.directory import RunDirectory, read_json
from fmnist.study import StudyWatcher, is_done, run_in_turn, runner_on
from fmnist.study.engines import driver, processes, tasks, worker
from fmnist.training.progress import Interrupted, Watcher

CONFIG = fmnist.preset("reference", epochs=3, filters=(4, 8, 8), segment_steps=4, threads=1, dropout=0.2)


class Recorder(StudyWatcher):
    """Notes what it is told; stops once a run has begun where it is asked to."""

    def __init__(self, stop_in=""):
        self.begun, self.ended, self.notes, self.rows, self.stop_in = [], [], [], {}, stop_in

    def begin(self, run):
        recorder = self
        self.begun.append(run.name)

        class Rows(Watcher):
            def epoch(self, row):
                recorder.rows.setdefault(run.name, []).append(row)

        return Rows()

    def end(self, run):
        self.ended.append(run.name)

    def note(self, text):
        self.notes.append(text)

    def should_stop(self):
        return self.stop_in in self.begun


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(driver, "PERIOD", 0.05)


@pytest.fixture
def use(monkeypatch):
    """Let another function be the worker."""
    return lambda name: monkeypatch.setattr(tasks, "WORKER", f"support.workers:{name}")


def jobs_in(folder, *names):
    return [(RunDirectory(folder / name), CONFIG) for name in names]


def carry_out(jobs, dataset, recorder, engine="processes:2"):
    runner_on(engine)(jobs, dataset, recorder, recorder.should_stop)


@pytest.mark.slow
def test_a_run_whose_worker_was_killed_ends_in_the_same_bits(tiny_dataset, tmp_path, use):
    use("dying_once")
    jobs, recorder = jobs_in(tmp_path, "killed", "whole"), Recorder()
    carry_out(jobs, tiny_dataset, recorder)
    assert (tmp_path / "was-killed").exists() and len(recorder.notes) == 1
    assert "killed: its worker ended before the run was done; submitted again, 1 of 3 times" in recorder.notes[0]
    killed, whole = (run for run, _ in jobs)
    assert outcome(killed) == outcome(whole)
    ours, theirs = (results.predictions(run).probabilities for run in (killed, whole))
    assert np.array_equal(ours, theirs)
    assert sorted(recorder.begun) == sorted(recorder.ended) == ["killed", "whole"]
    assert [row["epoch"] for row in recorder.rows["whole"]] == [1, 2, 3]
    assert "The run ended before" not in tasks.log(tmp_path / "tasks" / "killed.json").read_text()


def test_a_run_that_fails_four_times_is_named_with_its_log(tiny_dataset, tmp_path, use):
    use("failing")
    with pytest.raises(RunError, match="2 runs failed") as caught:
        carry_out(jobs_in(tmp_path, "one", "two"), tiny_dataset, Recorder())
    for name in ("one", "two"):
        log = tmp_path / "tasks" / f"{name}.log"
        assert f"{tmp_path / name} failed 4 times; {log} ends in: there is no room left" in str(caught.value)
        assert log.read_text().count("no room") == 4


@pytest.fixture
def model(tiny_run, tmp_path):
    """A folder with a finished run to copy."""
    shutil.copytree(tiny_run.path, tmp_path / "model")
    return tmp_path


def test_a_killed_drivers_runs_are_waited_for_and_not_doubled(model, tiny_dataset, use, monkeypatch):
    use("pretending")
    close, left = processes.Processes.close, []
    monkeypatch.setattr(processes.Processes, "close", lambda self: left.append(self))  # a SIGKILL leaves its processes

    class Killed(BaseException):
        pass

    def kill():
        if lock.is_held(model / "study" / "first"):
            raise Killed
        return False

    jobs = jobs_in(model / "study", "first", "second")
    with pytest.raises(Killed):
        runner_on("processes:1")(jobs, tiny_dataset, StudyWatcher(), kill)
    assert not is_done(jobs[0][0])
    carry_out(jobs, tiny_dataset, Recorder())
    assert all(is_done(run) for run, _ in jobs)
    for name in ("first", "second"):
        assert tasks.log(model / "study" / "tasks" / f"{name}.json").read_text() == "begun\n"
    for engine in left:
        close(engine)


def test_workers_are_stopped_and_save_their_runs(tiny_dataset, tmp_path, use):
    use("waiting")
    jobs = jobs_in(tmp_path, "one", "two", "three")

    class Late(Recorder):
        def should_stop(self):
            return all(lock.is_held(tmp_path / name) for name in ("one", "two"))

    with pytest.raises(Interrupted):
        carry_out(jobs, tiny_dataset, Late())
    assert [(run.path / "saved").exists() for run, _ in jobs] == [True, True, False]


def test_a_run_that_is_done_is_over_though_the_engine_calls_it_running(model, tiny_dataset, monkeypatch):
    class Forgetful(processes.Processes):
        def submit(self, tasks):
            shutil.copytree(model / "model", model / "study" / "one")
            return ["1"]

        def poll(self, handles):
            return dict.fromkeys(handles, "running")

    monkeypatch.setattr(driver, "open_engine", lambda _, **how: Forgetful("", **how))
    recorder = Recorder()
    monkeypatch.setattr(recorder, "should_stop", iter([False] * 3 + [True]).__next__)
    carry_out(jobs_in(model / "study", "one"), tiny_dataset, recorder)
    assert recorder.ended == ["one"]


def test_nothing_is_submitted_where_all_is_done(model, tiny_dataset, use):
    use("failing")
    carry_out([(RunDirectory(model / "model"), CONFIG)], tiny_dataset, Recorder())
    assert not (model / "tasks").exists()


def test_no_arrays_travel_and_data_in_memory_is_refused(tiny_dataset, tmp_path):
    path = tasks.write(tmp_path, RunDirectory(tmp_path / "run"), CONFIG, tiny_dataset)
    content = read_json(path)
    assert path.stat().st_size < 10_000
    assert (content["data"], content["data_sha256"]) == (str(tiny_dataset.folder), tiny_dataset.sha256)
    with pytest.raises(InputError, match="in this process's memory alone"):
        tasks.write(tmp_path, RunDirectory(tmp_path / "run"), CONFIG, replace(tiny_dataset, folder=None))


def test_a_worker_refuses_other_data(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = replace(tiny_dataset, sha256=tiny_dataset.sha256 | {"classes.txt": "1"})
    path = tasks.write(tmp_path, RunDirectory(tmp_path / "run"), CONFIG, other)
    with pytest.raises(InputError, match="holds other data on .* than where the study was begun"):
        worker.work(path, lambda: False)


@pytest.mark.parametrize(
    ("engine", "how", "message"),
    [
        ("proceses:2", {}, "got `engine=proceses:2`, expected in-turn, processes, .*; did you mean 'processes'"),
        ("processes:none", {}, "got `engine=processes:none`, expected processes, or processes:2"),
        ("processes", {"options": "--fast"}, "the engine processes takes no options of its own, got '--fast'"),
        ("in-turn", {"gpus": 1}, "`gpus` and `engine_options` are for engines"),
    ],
)
def test_what_an_engine_does_not_take_is_told(engine, how, message, tiny_dataset, tmp_path):
    with pytest.raises(InputError, match=message):
        runner_on(engine, **how)(jobs_in(tmp_path, "run"), tiny_dataset, StudyWatcher(), lambda: False)


def test_in_turn_is_what_it_was():
    assert runner_on() is run_in_turn


def test_each_process_has_gpus_of_its_own(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(processes.subprocess, "Popen", lambda *_, env, **how: seen.append(env["CUDA_VISIBLE_DEVICES"]))
    engine = processes.Processes("2", folder=tmp_path, threads=1, gpus=2, options="")
    handles = engine.submit([tmp_path / "one.json", tmp_path / "two.json", tmp_path / "three.json"])
    assert list(engine.poll(handles).values()) == ["running", "running", "waiting"] and seen == ["0,1", "2,3"]
