"""A Slurm cluster of two nodes on this one machine: started without systemd, all on loopback, ended by process id.

`python tests/support/slurm_cluster.py COMMAND...` runs a command beside one.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NODES = ("n1", "n2")
# Timeouts are short, so that a lost node is noticed within seconds; each daemon listens on 127.0.0.1 alone.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=4
BatchStartTimeout=5
KillWait=10
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=2
"""


def missing() -> str:
    """Say why a cluster cannot be started here, or nothing."""
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if absent:
        return f"there is no {absent[0]} here; on Debian: apt-get install slurm-wlm"
    return "" if os.geteuid() == 0 else "slurmd starts tasks as their user, so that it needs to be started by root"


class Cluster:
    """The daemons of a cluster; `environment` leads Slurm's commands to it."""

    def __init__(self, folder: Path) -> None:
        """Write the configuration; start nothing."""
        self.folder, self.configuration = folder, folder / "slurm.conf"
        self.environment = {"SLURM_CONF": str(self.configuration)}
        self.daemons: dict[str, subprocess.Popen] = {}
        ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        text = CONFIGURATION.format(host=host, ports=ports, folder=folder)
        for name, port in zip(NODES, ports[1:], strict=True):
            text += f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=1000\n"
            (folder / name).mkdir()
        (folder / "state").mkdir()
        self.configuration.write_text(text + "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n")

    def start(self) -> None:
        """Start all, and wait until both nodes can take tasks."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        places = {"key-file": key, "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        self._start("munged", "--foreground", *(f"--{name}={self.folder / place}" for name, place in places.items()))
        wait_for((self.folder / "munge.socket").exists)
        self._start("slurmctld", "-D")
        for name in NODES:
            self.start_node(name)
        wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%t %D") == f"idle {len(NODES)}")

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self._start(name, "-D", "-N", name, program="slurmd")

    def kill_node(self, name: str) -> None:
        """End a node's daemon and all that it started at once, as a power cut does."""
        self.daemons[name].kill()
        self.daemons.pop(name).wait()
        mark = f"SLURMD_NODENAME={name}".encode()
        sessions = {session for _, session, environment in self._processes() if mark in environment}
        # Slurm's guard of a task is the oldest process of its session, and goes first: it would report the task's end.
        for process in sorted(process for process, session, _ in self._processes() if session in sessions):
            _kill(process)

    def ask(self, *command: str) -> str:
        """Return what one of Slurm's commands prints; nothing where it fails."""
        told = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        return told.stdout.strip()

    def stop(self) -> None:
        """End every process that was started under this configuration."""
        for daemon in reversed(self.daemons.values()):
            daemon.kill()
            daemon.wait()
        for process, _, _ in self._processes():
            _kill(process)

    def _start(self, name: str, *arguments: str, program: str = "") -> None:
        with open(self.folder / f"{name}.out", "wb") as output:
            self.daemons[name] = subprocess.Popen(
                [program or name, *arguments],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _processes(self) -> Iterator[tuple[int, int, list[bytes]]]:
        """Yield id, session and environment of each process but this one that was given the configuration."""
        mine = f"SLURM_CONF={self.configuration}".encode()
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (place / "environ").read_bytes().split(b"\0")
                if mine in environment and int(place.name) != os.getpid():
                    yield int(place.name), os.getsid(int(place.name)), environment


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Give a cluster; its processes end and its folder goes with the block, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, as the path of a socket has to be
    folder.chmod(0o755)  # else munged takes it that nobody could reach its socket
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(ready, seconds: float = 100.0) -> None:
    """Wait until something is the case."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready after {seconds:.0f} s")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    with running() as here:
        sys.exit(subprocess.run(sys.argv[1:], env=os.environ | here.environment, check=False).returncode)
