"""Serves with one process or several: starts them, starts those again that were killed, and ends them."""

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from fmnist.errors import InputError
from fmnist.web.counters import Counters
from fmnist.web.server import application, open_predictor, run, run_worker
from fmnist.web.settings import Settings

# A process that lived for less failed to start; the pause before the next try doubles each time.
_SHORT_LIFE, _LONGEST_PAUSE = 10.0, 30.0
_BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; an `InputError` if that cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}, port {port}: {reason}; give another --host or --port") from error
    return listener


def serve(settings: Settings, say: Callable[[str], None], ready: Callable[[dict[str, Any]], None]) -> int:
    """Answer requests until a signal.

    Args:
        settings: model, address and limits.
        say: is told, for people, where it listens, and when a process was started again.
        ready: is told the same for programs, once requests are taken: `url`, `model`, `format`, `workers`.

    Returns:
        The exit code: 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        InputError: the model cannot be opened, or the address not be had.
        RunError: a package is missing.
    """
    predictor = open_predictor(settings)
    with listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        facts = {
            "url": f"http://{name}:{port}",
            "model": predictor.metadata.get("run") or Path(settings.model).name,
            "format": predictor.format,
            "workers": settings.workers,
        }

        def tell() -> None:
            say(f"Serving   {facts['model']} ({facts['format']}) at {facts['url']}")
            ready(facts)

        if settings.workers > 1:
            with tempfile.TemporaryDirectory(prefix="fmnist-serve-") as folder:
                return _supervise(settings, Path(folder), listener, tell, say)
        guard, service = application(settings, predictor)
        tell()
        return run(guard, service, [listener])


def _supervise(
    settings: Settings, folder: Path, listener: socket.socket, ready: Callable[[], None], say: Callable[[str], None]
) -> int:
    context = multiprocessing.get_context("spawn")
    counters = Counters(folder / "counters", 0, settings.workers)
    life, ours = context.Pipe(duplex=False)
    stopped_by: list[int] = []
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda received, frame: stopped_by.append(received))

    def start(number: int) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=run_worker, args=(settings, number, folder, listener, life), daemon=True)
        process.start()
        return process

    processes = [start(number) for number in range(settings.workers)]
    started = [time.monotonic()] * settings.workers
    pauses, due = [1.0] * settings.workers, [0.0] * settings.workers
    told = False
    while not stopped_by:
        living = [process.sentinel for process in processes if process.is_alive()]
        wait(living, timeout=0.2) if living else time.sleep(0.2)
        if not told and counters.total("ready") == settings.workers:
            told = True
            ready()
        for number, process in enumerate(processes):
            now = time.monotonic()
            if process.is_alive() or stopped_by:
                continue
            if not due[number]:
                counters.clear(number)
                pauses[number] = min(2 * pauses[number], _LONGEST_PAUSE) if now - started[number] < _SHORT_LIFE else 1.0
                due[number] = now + (pauses[number] if pauses[number] > 1 else 0)
                say(f"Process {number + 1} of {settings.workers} ended ({_end(process.exitcode)}); starting it again")
            if now >= due[number]:
                processes[number], started[number], due[number] = start(number), now, 0.0
    listener.close()  # the kernel resets who waits there when the last handle closes: that is to be a worker's
    for process in processes:
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGTERM)
    until = time.monotonic() + settings.limits.stop_seconds
    for process in processes:
        process.join(max(0.1, until - time.monotonic()))
        if process.is_alive():
            process.kill()
    ours.close()
    return 130 if stopped_by[0] == signal.SIGINT else 143


def _end(code: int | None) -> str:
    names = {-number: number.name for number in signal.Signals}
    return names.get(code or 0, f"exit code {code}")
