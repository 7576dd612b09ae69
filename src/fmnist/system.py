"""What differs by operating system: every call that not all systems have is here, with what happens without it."""

import contextlib
import math
import os
import signal
import socket
import sys
from pathlib import Path

from fmnist.errors import RunError

CGROUP = Path("/sys/fs/cgroup")  # here Linux tells a container its bounds


def cores(cgroup: Path = CGROUP) -> int:
    """Return the number of processor cores that this process may use, 1 or more.

    It is the number of cores that the process may run on, or the processor time that its container may take (a quota,
    in cores, rounded up; read from Linux's control groups, version 1 or 2), whichever is smaller. macOS and Windows
    tell how many cores there are.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            # Microseconds of processor time, in each period of so many microseconds; "max" or -1: as much as there is.
            quota, period = map(int, " ".join((cgroup / name).read_text() for name in names).split())
        except (OSError, ValueError):
            continue
        if quota > 0 and period > 0:
            return min(allowed, math.ceil(quota / period))
    return allowed


def peak_memory() -> int | None:
    """Return the most memory that this process has held, in bytes; None where it cannot be told (Windows)."""
    with contextlib.suppress(OSError, StopIteration):
        # The kernel's count for this program alone; that of `getrusage` begins with the parent's, on Linux.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def limit(memory: int, seconds: float) -> None:
    """Bound this process's memory, in bytes, and its processor time; let it write no file and dump no core.

    Windows bounds nothing: there the parent's clock alone ends the process. macOS does not bound the memory.
    """
    try:
        import resource
    except ImportError:
        return
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: math.ceil(min(seconds, 2**31))}
    for what, bound in (limits | {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}).items():
        _, hard = resource.getrlimit(what)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def alarm(seconds: float) -> None:
    """Let the system end this process in so many seconds, whatever it is doing; never, with 0. Not on Windows."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def sync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut, where the system lets a folder be opened (not Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def is_root() -> bool:
    """Whether this process has the rights of POSIX's user 0."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def file_socket(path: Path) -> socket.socket:
    """Return a socket that processes of this machine reach by a file's path.

    Raises:
        RunError: the system has none (Windows).
    """
    if not hasattr(socket, "AF_UNIX"):
        raise RunError("this system has no sockets in files; serve with one process, or without the page")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener
