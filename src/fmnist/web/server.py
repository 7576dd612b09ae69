"""Builds the application of one process and runs it until a signal."""

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvicorn

from fmnist.errors import FmnistError, InputError
from fmnist.predictor.opening import open_model
from fmnist.predictor.predictor import Predictor
from fmnist.system import cores, file_socket
from fmnist.web import api
from fmnist.web.access import Guard
from fmnist.web.connections import Crowd, EndingServer
from fmnist.web.counters import Counters
from fmnist.web.listener import listen
from fmnist.web.relay import Relay
from fmnist.web.service import Service
from fmnist.web.settings import Settings

_log = logging.getLogger("uvicorn.error")
_MESSAGE = 2000  # letters: the pipe keeps messages apart that are shorter than 4,096 bytes
# Kept between the last request and the end, for closing what is open.
_CLOSING_SECONDS = 3.0


def open_predictor(settings: Settings) -> Predictor:
    """Open the model, with a fair share of the processor's cores for each process; it fails as `open_model` does."""
    return open_model(settings.model, settings.runs_dir, threads=max(1, cores() // settings.workers))


def application(
    settings: Settings, predictor: Predictor, counters: Counters | None = None, relay_to: Path | None = None
) -> tuple[Guard, Service]:
    """Return the whole application, and the part of it that answers predictions.

    Without `counters` it counts for this process alone. `relay_to` is the socket of the process that has the page, if
    that is another one.
    """
    service = Service(predictor, settings.limits, counters or Counters(), settings.workers)
    app = api.build(service, bool(settings.token))
    page: Any = None
    if settings.page and relay_to:
        page = Relay(relay_to)
    elif settings.page:
        from fmnist.web.page import build

        page = build(app, service, settings)
    return Guard(app, page, service, settings), service


def run(guard: Guard, service: Service, sockets: list[socket.socket]) -> None:
    """Answer requests until SIGTERM, then finish what was accepted."""
    limits = service.limits
    config = uvicorn.Config(
        guard,
        http=Crowd(limits, service.counters, service.is_full).connection,  # type: ignore[arg-type]
        root_path=guard.root_path,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=max(1, int(limits.stop_seconds - limits.drain_seconds - _CLOSING_SECONDS)),
    )
    # Collecting garbage among all that was loaded, and after every 700 new objects, holds up one request in a hundred.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)
    EndingServer(config, service).run(sockets)
    service.close()


def run_worker(
    settings: Settings, number: int, folder: Path, listener: socket.socket, life: Connection, tells: Connection
) -> None:
    """Run one of the processes that answer: the first, number 0, has the page, and the others pass its requests on.

    All accept connections at `listener`, and have their counters and the page's socket in `folder`. `life` is the end
    of a pipe whose other end the parent has; it closes when the parent is gone. The parent is told at `tells` which
    model answers, or the error for which there is none.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent tells us
    counters = Counters(folder / "counters", number, settings.workers)
    socket_path = folder / "page"
    sockets = [listener]
    try:
        if settings.page and number == 0:
            socket_path.unlink(missing_ok=True)
            sockets.append(file_socket(socket_path))
        predictor = open_predictor(settings)
        guard, service = application(settings, predictor, counters, socket_path if number else None)
        service.readers.start()
        with contextlib.suppress(InputError):  # no picture: the first one that comes need not wait for its reader
            service.readers.read(b"", "nothing", predictor.image_shape)
        listen(listener)  # not before somebody can answer: whoever is refused can ask another replica
    except FmnistError as error:
        tells.send(type(error)(str(error)[:_MESSAGE]))
        os._exit(1)
    name = predictor.metadata.get("run") or Path(settings.model).name
    tells.send({"model": str(name)[:_MESSAGE], "format": predictor.format})
    threading.Thread(target=_watch, args=(service, life), daemon=True).start()
    run(guard, service, sockets)
    os._exit(0)  # a thread that still waits for somebody must not hold us up


def _watch(service: Service, life: Connection) -> None:
    """End this process when the model does not come back from a batch, and when the parent is gone.

    Whoever waited for such a batch has been told long ago; only a new process can answer the next one.
    """
    while not life.poll(1):
        if service.batcher.busy_seconds() > service.limits.stuck_seconds:
            _log.error("the model took more than %g seconds for one batch", service.limits.stuck_seconds)
            os._exit(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(service.limits.stop_seconds)
    os._exit(1)
