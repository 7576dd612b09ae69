"""The engine `ray`: core tasks of Ray, on this machine or on a cluster that was started with `ray start`."""

import ipaddress
import os
import pkgutil
import secrets
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmnist import system
from fmnist.errors import InputError, RunError, first_line
from fmnist.study.engines import tasks as files

SETTINGS = {
    # Ray reports how it is used. Switched off, it still sends a nearly empty request: to a port where nobody listens.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a task without a GPU of its own sees what its node's processes see
}
# Named after the systems where it is off by default: whether a cluster may have several machines. One that may not has
# all its ports on the loopback address, on Linux too, which no argument of Ray's brings about.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class Ray:
    """Hands each task to Ray, in a process of its own. A driver that is killed takes its tasks along."""

    def __init__(self, place: str, *, folder: Path, threads: int, gpus: int, options: str) -> None:
        """Start a cluster on this machine, or join the one at `place`, such as `10.0.0.1:6379`.

        Raises:
            InputError: a cluster on other machines is to be joined without authentication, or there are `options`.
            RunError: Ray is not installed, there is no cluster, or its nodes do not share the folder.
        """
        if options:
            raise InputError(f"the engine ray takes no options of its own, got '{options}'")
        if place and not _is_loopback(place) and os.environ.get("RAY_AUTH_MODE") != "token":
            raise InputError(
                f"the Ray cluster at {place} is not on this machine, and without authentication anybody who reaches it "
                "runs code on it; start it with RAY_AUTH_MODE=token on every node, and set that and the token here too"
            )
        os.environ.update(SETTINGS if place else SETTINGS | ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
        try:
            import ray
        except ModuleNotFoundError as error:
            raise RunError("the engine ray needs Ray; install it with: pip install 'fmnist[cluster]'") from error
        self._ray = ray
        how: dict[str, Any] = {"address": place}
        if not place:
            how = {"address": "local", "num_cpus": system.cores(), "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **how)
        except Exception as error:  # Ray raises plain ones, too
            told = f"join the Ray cluster at {place}" if place else "start Ray"
            raise RunError(f"cannot {told}: {first_line(error)}") from error
        # One call a process: TensorFlow's threads and memory are a process's own. What is lost, the driver hands in.
        self._work = ray.remote(max_calls=1, max_retries=0, num_cpus=threads, num_gpus=gpus)(_work)
        self._handed: dict[str, tuple[Any, Path, int]] = {}  # the task's reference, its log, and that log's size before
        self._ended: dict[str, str] = {}
        if place:
            self._check_shared(folder)

    def submit(self, tasks: Sequence[Path]) -> list[str]:
        """Hand the tasks in; Ray starts them where there is room."""
        handles = []
        for task in tasks:
            log = files.log(task)
            handles.append(str(len(self._handed)))
            self._handed[handles[-1]] = self._work.remote(str(task), files.WORKER), log, _size(log)
        return handles

    def poll(self, handles: Sequence[str]) -> dict[str, str]:
        """Tell how each task stands; that one runs shows in its log, since Ray tells it through its dashboard alone."""
        left = {self._handed[handle][0]: handle for handle in handles if handle not in self._ended}
        ready, _ = self._ray.wait(list(left), num_returns=len(left), timeout=0) if left else ([], [])
        for reference in ready:
            try:
                self._ray.get(reference)
                self._ended[left[reference]] = "done"
            except (self._ray.exceptions.RayError, SystemExit):  # the worker, its node or its run
                self._ended[left[reference]] = "failed"
        begun = {handle: _size(log) > size for handle, (_, log, size) in self._handed.items()}
        return {handle: self._ended.get(handle, "running" if begun[handle] else "waiting") for handle in handles}

    def cancel(self, handles: Sequence[str]) -> None:
        """Interrupt the tasks, which then save their runs."""
        for handle in handles:
            if handle not in self._ended:
                self._ray.cancel(self._handed[handle][0])

    def close(self) -> None:
        """Leave the cluster, which ends the tasks that are left; end one that was started here."""
        self._ray.shutdown()

    def _check_shared(self, folder: Path) -> None:
        """Let a task on every node look for a file that is written here.

        Raises:
            RunError: one does not see it, or cannot run this package.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        probe = folder / f".probe-{secrets.token_hex(8)}"
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        look = self._ray.remote(num_cpus=0, max_calls=1)(_sees)
        there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
        answers = [look.options(scheduling_strategy=one).remote(str(probe)) for one in there]
        try:
            for node, answer in zip(nodes, answers, strict=True):
                if not self._ray.get(answer):
                    raise RunError(
                        f"the Ray node {node['NodeManagerAddress']} does not see {folder}; choose a folder that all "
                        "nodes share, under the same path, for runs and data"
                    )
        except self._ray.exceptions.RayError as error:
            cause = first_line(getattr(error, "cause", None) or error)
            raise RunError(f"the Ray node {node['NodeManagerAddress']} cannot run fmnist: {cause}") from error
        finally:
            probe.unlink()


def _work(task: str, worker: str) -> None:
    """Carry out a task in this process, and let its log have what is printed."""
    log = os.open(files.log(Path(task)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        pkgutil.resolve_name(worker)([task])
    except Exception:
        traceback.print_exc()
        raise


def _sees(path: str) -> bool:
    return os.path.exists(path)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _is_loopback(place: str) -> bool:
    host = place.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
