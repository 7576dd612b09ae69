"""Holds a server's settings: model, address and limits. They are plain values, which other processes can be given."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on what a request may bring and take."""

    body_bytes: int = 10_000_000  # of a request's body
    pictures: int = 64  # of one request
    seconds: float = 10.0  # from a request's headers to its answer
    picture_seconds: float = 5.0  # for reading one picture file
    requests: int = 64  # whose bodies are there, that one process holds at a time; further ones are refused at once
    waiting_bytes: int = 64_000_000  # of the bodies that one process holds at a time
    streams: int = 500  # of open pages, in one process; the oldest ends for each further one
    # Of one process; above it, who is silent for longest goes, and above twice that nobody gets in.
    connections: int = 1000
    # In which a connection may bring no request, or not take its answer. Longer than proxies keep theirs, which would
    # otherwise race with our closing.
    idle_seconds: float = 75.0
    drain_seconds: float = 1.0  # in which a stopping server still takes requests, so that proxies notice
    stuck_seconds: float = 30.0  # of one batch; then the process is ended, and another one started
    stop_seconds: float = 10.0  # from the signal to the end, at most


@dataclass(frozen=True)
class Settings:
    """A server's settings."""

    model: str  # a run (path, name or `latest`) or a model file
    runs_dir: Path = Path("runs")  # the runs that the page shows
    data_dir: Path | None = None  # where the page finds the test pictures; None looks in the usual places
    host: str = "127.0.0.1"  # the address to listen on
    port: int = 7860  # 0 takes a free one
    workers: int = 1  # processes that answer
    page: bool = True  # whether there is a page beside the API
    token: str = ""  # what requests must carry; empty for none
    origins: tuple[str, ...] = ()  # addresses under which the server is known (`https://example.org`), besides its own
    root_path: str = ""  # the path under which a proxy offers the server, which takes it off: `/fmnist`
    limits: Limits = Limits()
