"""Lets several processes train one run on JAX: joins them, and tells each what the first one's clock says.

Every process trains the whole network on the same images in the same order; only the steps (`steps.py`) share work.
Whatever is decided by a clock, a signal or a measurement is asked for here, so that all decide alike. In a process that
has not joined others, each function answers for this process alone, at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping

import numpy as np

from fmnist.backend.setup import silent_stderr
from fmnist.errors import InputError, LostPeer, RunError, first_line

# A process that is not heard of for so long is lost, and the others end: all within 15 s.
HEARTBEAT_SECONDS = 10
# How long a process waits at the end of training for those that are behind.
PARTING_SECONDS = 60


def join() -> bool:
    """Join the processes that train one run; return whether this is the first of them, which writes the run.

    Slurm, Kubernetes and MPI say who the others are, or else JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID do. To be called before Keras is imported.

    Raises:
        InputError: the backend is not JAX, or nothing says who the others are.
        RunError: JAX is not installed, or the others do not come.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "jax")
    if backend != "jax":
        raise InputError(f"KERAS_BACKEND is '{backend}'; several processes train one run on 'jax' alone")
    try:
        with silent_stderr():
            import jax
    except ModuleNotFoundError as error:
        raise RunError(f"this needs '{error.name}'; install it with: pip install 'fmnist[distributed]'") from error
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        told = {name: os.environ.get(f"JAX_{name.upper()}") for name in ("num_processes", "process_id")}
        jax.distributed.initialize(
            **{name: int(value) for name, value in told.items() if value is not None},
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=PARTING_SECONDS,
        )
    except ValueError as error:
        raise InputError(
            f"neither Slurm, Kubernetes nor MPI says which processes train together ({first_line(error)}); "
            "`processes=2` starts two on this machine"
        ) from error
    except RuntimeError as error:
        raise RunError(f"the processes did not find each other: {first_line(error)}") from error
    with silent_stderr():  # of Gloo's greeting
        return bool(jax.process_index() == 0)


def joined() -> bool:
    """Whether this process trains together with others, or on several devices; `join` was called."""
    return "jax" in sys.modules and bool(sys.modules["jax"].distributed.is_initialized())


def leave() -> bool:
    """Wait for the others to be done with training and part from them; return whether this is the first."""
    if not joined():
        return True
    import jax

    first = jax.process_index() == 0
    with lost_peers():
        jax.distributed.shutdown()
    return bool(first)


def clock() -> float:
    """Return the first process's `time.monotonic()`, in seconds."""
    return of_first({"now": time.monotonic()})["now"]


def of_first(values: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers that the first process gave; all give numbers of the same names."""
    told = _of_all(np.array(list(values.values()), np.float64).tobytes())[0]
    return dict(zip(values, np.frombuffer(told).tolist(), strict=True))


def any_of_all(flag: bool) -> bool:
    """Whether any process says so."""
    return b"\1" in _of_all(bytes([flag]))


def check_same(**facts: object) -> None:
    """Refuse to go on where processes have different facts, such as other settings or other data.

    Raises:
        InputError: names the facts.
    """
    digests = [hashlib.sha256(repr(fact).encode()).digest() for fact in facts.values()]
    everyones = zip(
        *([told[start : start + 32] for start in range(0, len(told), 32)] for told in _of_all(b"".join(digests))),
        strict=True,
    )
    if other := [name for name, told in zip(facts, everyones, strict=True) if len(set(told)) > 1]:
        raise InputError(f"the processes of the run have different {' and '.join(other)}; give all the same command")


def _of_all(content: bytes) -> list[bytes]:
    """Return the bytes that each process gave, all of one length, in the order of the processes."""
    if not joined():
        return [content]
    from jax.experimental import multihost_utils

    with lost_peers():  # as bytes, since JAX rounds float64
        return [row.tobytes() for row in multihost_utils.process_allgather(np.frombuffer(content, np.uint8))]


@contextlib.contextmanager
def lost_peers() -> Iterator[None]:
    """Let what JAX raises in work that several processes share become a `LostPeer`."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # Gloo's errors are of the second kind
        if jax.process_count() == 1:
            raise
        told = f"another process of the run has ended or cannot be reached ({first_line(error)})"
        raise LostPeer(f"{told}; the work so far is saved, and `resume` continues") from error
