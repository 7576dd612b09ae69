"""Holds a server's settings: model, address and limits. They are plain values, which other processes can be given."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on what a request may bring and take.

    Attributes:
        body_bytes: of a request's body.
        pictures: of one request.
        seconds: from a request's headers to its answer.
        requests: whose bodies are there, that one process holds at a time; further ones are refused at once.
        waiting_bytes: of the bodies that one process holds at a time.
        connections: of one process; above it, who is silent for longest goes, and above twice that nobody gets in.
        idle_seconds: in which a connection may bring no request, or not take its answer.
        drain_seconds: in which a stopping server still takes requests, so that proxies notice.
        stop_seconds: from the signal to the end, at most.
    """

    body_bytes: int = 10_000_000
    pictures: int = 64
    seconds: float = 10.0
    requests: int = 64
    waiting_bytes: int = 64_000_000
    connections: int = 1000
    idle_seconds: float = 75.0  # longer than proxies keep theirs, which would otherwise race with our closing
    drain_seconds: float = 1.0
    stop_seconds: float = 10.0


@dataclass(frozen=True)
class Settings:
    """A server's settings.

    Attributes:
        model: a run (path, name or `latest`) or a model file.
        runs_dir: the runs that the page shows.
        data_dir: where the page finds the test pictures; None looks in the usual places.
        host: the address to listen on.
        port: its port; 0 takes a free one.
        workers: processes that answer.
        page: whether there is a page beside the API.
        token: what requests must carry; empty for none.
        origins: addresses under which the server is known (`https://example.org`), besides its own.
        limits: the bounds.
    """

    model: str
    runs_dir: Path = Path("runs")
    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    workers: int = 1
    page: bool = True
    token: str = ""
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
