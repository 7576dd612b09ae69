"""The run directory: atomic files, the lock, reading what others wrote, finding runs."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist.errors import InputError, RunError
from fmnist.run import directory
from fmnist.run.directory import RunDirectory, find_run, read_json, write_json
from fmnist.run.history import read_history, write_history


def test_json_survives_a_round_trip(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"x": [1, 2.5, None]}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", {"old": True})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory.os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*a\.json: No space left"):
        write_json(tmp_path / "a.json", {"old": False})
    assert read_json(tmp_path / "a.json") == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, "not started"),
        ({"state": "finished"}, "finished"),
        ({"state": "diverged", "message": "the loss became nan in epoch 1 of 2, at step 3"}, "diverged"),
        ({"state": "failed", "message": "cannot write x: No space left on device"}, "failed"),
        ({"state": "failed"}, "failed"),
        # As earlier versions wrote it.
        ({"state": "failed", "message": "the loss became nan in epoch 1 of 2, at step 3"}, "diverged"),
        ({"state": "running", "message": "the loss became nan"}, "running"),
    ],
)
def test_the_state_of_a_run(status, state, tmp_path):
    run = RunDirectory(tmp_path)
    if status is not None:
        write_json(run.status, status)
    assert run.state() == state
    assert run.read_status() == (status | {"state": state} if status else {})


def test_the_sha256_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert directory.sha256(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_nan_is_not_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(path)


def test_history_survives_a_round_trip(tmp_path):
    rows = [{"epoch": 1, "seconds": 1.5, "loss": 0.25, "val_loss": 1 / 3}, {"epoch": 2, "loss": 0.125}]
    write_history(tmp_path / "history.csv", rows)
    read = read_history(tmp_path / "history.csv")
    assert read[1] == {"epoch": 2, "loss": 0.125}
    assert read[0]["val_loss"] == pytest.approx(1 / 3, rel=1e-6)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "epoch,loss\n1,hello\n", "epoch\none\n"])
def test_a_broken_history_is_refused(tmp_path, content):
    path = tmp_path / "history.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"history\.csv"):
        read_history(path)


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_lock(tmp_path):
    code = (
        "import sys,time; from fmnist.run.directory import RunDirectory\n"
        f"with RunDirectory({str(tmp_path)!r}).lock(): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(RunError, match="in use by another process"), RunDirectory(tmp_path).lock():
            pass
        assert time.monotonic() - started < 2
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with RunDirectory(tmp_path).lock():
        assert (tmp_path / ".lock").exists()


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(RunError, match="cannot write the run directory"),
        RunDirectory(tmp_path / "file" / "run").lock(),
    ):
        pass


def test_runs_are_found_by_path_name_and_latest(tmp_path):
    for number, name in enumerate(("first", "second")):
        run = RunDirectory(tmp_path / name)
        write_json(run.config, {})
        os.utime(run.config, ns=(number, number))
    assert find_run("latest", tmp_path).name == "second"
    assert find_run("first", tmp_path).path == tmp_path / "first"
    assert find_run(str(tmp_path / "first"), tmp_path / "nowhere").name == "first"
    with pytest.raises(InputError, match="did you mean 'second'"):
        find_run("secnd", tmp_path)
    with pytest.raises(InputError, match="no run in .* yet; `fmnist train --runs-dir '.*no where'` makes one"):
        find_run("latest", tmp_path / "no where")
    assert directory.train_command(Path("runs")) == "fmnist train"


def test_latest_is_the_run_that_was_started_last_whatever_copying_did_to_its_files(tmp_path):
    for number, (name, started) in enumerate(
        [("old", None), ("third", "2026-11-25T10:00:02+01:00"), ("second", "2026-11-25T09:00:01+00:00"), ("odd", 3)]
    ):
        run = RunDirectory(tmp_path / name)
        write_json(run.config, {})
        write_json(run.environment, {"started": started} if started else {})
        os.utime(run.config, (1_600_000_000 - number,) * 2)
    assert [run.name for run in directory.list_runs(tmp_path)] == ["odd", "old", "second", "third"]


def test_a_folder_that_cannot_be_looked_into_hides_no_run(tmp_path, monkeypatch):
    for name in ("closed", "open"):
        write_json(RunDirectory(tmp_path / name).config, {})
    look = os.stat

    def refuse(path, *arguments, **options):
        if "closed" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return look(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert [run.name for run in directory.list_runs(tmp_path)] == ["open"]
    assert find_run("latest", tmp_path).name == "open"
    with pytest.raises(InputError, match="neither a run directory nor the name of a run"):
        find_run("closed", tmp_path)


def test_the_name_of_a_run_is_fit_to_be_shown(tmp_path):
    assert RunDirectory(tmp_path / os.fsdecode(b"caf\xe9\n\x1b]52;c;eA==\x07")).name == r"caf\udce9\n\x1b]52;c;eA==\x07"


def test_a_list_of_runs_tells_how_many_it_leaves_out(tmp_path):
    for number in range(7):
        write_json(RunDirectory(tmp_path / f"run-{number}").config, {})
    with pytest.raises(InputError, match=r"runs there: (run-\d, ){4}run-\d and 2 more\)"):
        find_run("other", tmp_path)


def test_a_command_about_a_run_is_quoted_for_the_shell(tmp_path):
    """By its path, since a name alone is looked for in `runs`."""
    run = RunDirectory(tmp_path / "my runs" / "it's")
    assert shlex.split(run.command("train --resume")) == ["fmnist", "train", "--resume", str(run.path)]
    with pytest.raises(InputError) as caught:
        run.need(run.metrics, "evaluate")
    assert f"`{run.command('evaluate')}` makes it" in str(caught.value)
