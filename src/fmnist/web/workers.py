"""Starts the processes that answer, one or several, starts those again that ended, and ends them in time."""

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

from fmnist.errors import RunError
from fmnist.web.counters import Counters
from fmnist.web.listener import bind
from fmnist.web.settings import Settings

# A process that lived for less failed to start; the pause before the next try doubles each time.
_SHORT_LIFE, _LONGEST_PAUSE = 10.0, 30.0
_KILLING_SECONDS = 2.0  # of those in which a server is to end, for its processes to be killed and itself to end


def serve(settings: Settings, say: Callable[[str], None], ready: Callable[[dict[str, Any]], None]) -> int:
    """Answer requests until a signal, in processes of their own: whatever happens to them, this one goes on.

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
    with (
        bind(settings.host, settings.port) as listener,
        tempfile.TemporaryDirectory(prefix="fmnist-serve-") as folder,
    ):
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def tell(facts: dict[str, str]) -> None:
            say(f"Serving   {facts['model']} ({facts['format']}) at {url}")
            ready({"url": url, **facts, "workers": settings.workers})

        return _supervise(settings, Path(folder), listener, tell, say)


def _supervise(
    settings: Settings,
    folder: Path,
    listener: socket.socket,
    ready: Callable[[dict[str, str]], None],
    say: Callable[[str], None],
) -> int:
    context = multiprocessing.get_context("spawn")
    counters = Counters(folder / "counters", 0, settings.workers)
    life, ours = context.Pipe(duplex=False)
    stopped_by: list[int] = []
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda received, frame: stopped_by.append(received))

    hears, tells = context.Pipe(duplex=False)

    def start(number: int) -> multiprocessing.process.BaseProcess:
        arguments = (settings, number, folder, listener, life, tells)
        process = context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        return process

    processes = [start(number) for number in range(settings.workers)]
    started = [time.monotonic()] * settings.workers
    pauses, due = [1.0] * settings.workers, [0.0] * settings.workers
    facts: dict[str, str] | None = None
    told = False
    try:
        while not stopped_by:
            wait([hears, *(process.sentinel for process in processes if process.is_alive())], timeout=0.2)
            ended = [number for number, process in enumerate(processes) if not process.is_alive()]
            while hears.poll():  # what they said before they ended
                heard = hears.recv()
                if isinstance(heard, dict):
                    facts = heard
                elif told:
                    say(str(heard))
                else:
                    raise heard
            if facts and not told and counters.total("ready") == settings.workers:
                told = True
                ready(facts)
            for number in ended:
                now = time.monotonic()
                if stopped_by:
                    break
                if not due[number]:
                    counters.clear(number)
                    short = now - started[number] < _SHORT_LIFE
                    pauses[number] = min(2 * pauses[number], _LONGEST_PAUSE) if short else 1.0
                    due[number] = now + (pauses[number] if pauses[number] > 1 else 0)
                    how = _end(processes[number].exitcode)
                    say(f"Process {number + 1} of {settings.workers} ended ({how}); starting it again")
                if now >= due[number]:
                    processes[number], started[number], due[number] = start(number), now, 0.0
    finally:
        listener.close()  # the kernel resets who waits there when the last handle closes: that is to be a worker's
        for process in processes:
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGTERM)
        until = time.monotonic() + settings.limits.stop_seconds - _KILLING_SECONDS
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        ours.close()
    return 130 if stopped_by[0] == signal.SIGINT else 143


def _work(*arguments: Any) -> None:
    """Do what a process is for; only there is imported what answers, which takes memory and seconds."""
    try:
        from fmnist.web.server import run_worker
    except ImportError as error:
        arguments[-1].send(
            RunError(f"serving needs '{error.name}', which is not installed; pip install 'fmnist[serve]'")
        )
        return
    run_worker(*arguments)


def _end(code: int | None) -> str:
    names = {-number: number.name for number in signal.Signals}
    return names.get(code or 0, f"exit code {code}")
