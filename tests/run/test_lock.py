"""The lock of a folder: one writer at a time, asked without a trace, and no lock at all where the kernel has none."""

import errno
import os
import signal
import subprocess
import sys

import filelock
import pytest

from fmnist.errors import RunError
from fmnist.run import lock

HOLDER = """
import sys, time
from pathlib import Path
from fmnist.run import lock

with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_refused_until_the_holder_is_killed(holder, tmp_path):
    assert lock.is_held(tmp_path)
    with pytest.raises(RunError, match="in use by another process; wait for it"):
        lock.check_free(tmp_path)
    with pytest.raises(RunError, match="in use by another process"), lock.hold(tmp_path):
        pass
    assert lock.is_held(tmp_path), "asking and being refused must not let go for the holder"
    holder.send_signal(signal.SIGKILL) if os.name == "posix" else holder.kill()
    holder.wait()
    lock.check_free(tmp_path)
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)


def test_asking_writes_nothing(tmp_path):
    assert not lock.is_held(tmp_path / "nowhere") and not lock.is_held(tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / lock.FILE).touch()
    before = (tmp_path / lock.FILE).stat()
    (tmp_path / lock.FILE).chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert not lock.is_held(tmp_path)
    finally:
        tmp_path.chmod(0o755)
    after = (tmp_path / lock.FILE).stat()
    assert (after.st_size, after.st_mtime_ns) == (0, before.st_mtime_ns) and os.listdir(tmp_path) == [lock.FILE]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a folder that root cannot write either")
def test_a_folder_that_cannot_be_written_is_one_error():
    with pytest.raises(RunError, match="cannot write the run directory /proc/self/fdinfo: "):
        lock.hold(lock.Path("/proc/self/fdinfo")).__enter__()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_told(number, tmp_path, monkeypatch):
    """No marker file takes the lock's place: a killed process would leave it behind."""

    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    if os.name == "posix":
        monkeypatch.setattr("fcntl.flock", no_locks)
    else:
        monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    with pytest.raises(RunError, match="cannot lock .*choose a folder on a file system with locks"):
        lock.hold(tmp_path).__enter__()
    assert not lock.is_held(tmp_path)
    assert os.listdir(tmp_path) == [lock.FILE]
