"""What differs by operating system: how many cores a process may use, and what happens where a call is missing."""

import os
import resource
import signal
import socket
import sys

import pytest

from fmnist import system
from fmnist.errors import RunError


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "hello\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "150000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "0\n"}, 8),
    ],
)
def test_a_containers_quota_bounds_the_cores(files, cores, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert system.cores(tmp_path) == cores


def test_where_a_call_is_missing_the_rest_goes_on(monkeypatch, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_CPU)
    monkeypatch.setitem(sys.modules, "resource", None)
    for module, name in ((os, "sched_getaffinity"), (os, "O_DIRECTORY"), (os, "geteuid"), (signal, "setitimer")):
        monkeypatch.delattr(module, name)
    system.limit(1, 1)
    system.alarm(1e-6)
    system.sync_directory(tmp_path / "nowhere")
    assert resource.getrlimit(resource.RLIMIT_CPU) == before
    assert not system.is_root() and system.cores(tmp_path) == os.cpu_count()
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(RunError, match="no sockets in files; serve with one process, or without the page"):
        system.file_socket(tmp_path / "page")
