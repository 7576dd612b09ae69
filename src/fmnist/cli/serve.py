"""`fmnist serve`: serves a model through a web page and a REST API."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import say
from fmnist.errors import InputError


@options.command(
    "serve", "fmnist serve", "fmnist serve model.tflite --host 0.0.0.0 --workers 4 --auth-token-file token"
)
@options.run_argument("model", default="latest")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 takes a free port.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer.")
@click.option("--no-page", is_flag=True, help="Serve only the API, without the page.")
@click.option(
    "--auth-token-file",
    type=click.Path(path_type=Path),
    help="File with a token that every request must carry; browsers ask for it as a password.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="An address under which the server is known, or whose pages may ask it, such as https://example.org.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="The path under which a proxy offers the server, such as /fmnist; the proxy must take it off.",
)
@options.runs_dir_option
@options.data_dir_option
def command(
    model: str,
    host: str,
    port: int,
    workers: int,
    no_page: bool,
    auth_token_file: Path | None,
    origins: tuple[str, ...],
    root_path: str,
    runs_dir: Path,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Offer MODEL on a web page and through a REST API, until Ctrl-C.

    MODEL is a run (a path, a name or `latest`) or a file: .tflite, .onnx or .keras. A run answers through its LiteRT
    export, if it has one, and needs no TensorFlow then.

    The page shows the model's answers about your pictures, the runs in the folder and the exported files; in a browser
    on this machine it also records pictures of classes and trains on them. The API is at /api/v1/predict; the page
    /docs describes it. No request leaves this machine.
    """
    from fmnist.web import Settings, serve

    settings = Settings(
        model=model,
        runs_dir=runs_dir,
        data_dir=data_dir,
        host=host,
        port=port,
        workers=workers,
        page=not no_page,
        token=_token(auth_token_file),
        origins=tuple(_origin(text) for text in origins),
        root_path=_root_path(root_path),
    )
    return serve(settings, say, _print if as_json else lambda facts: None)


def _print(facts: dict[str, Any]) -> None:
    options.print_json(facts)
    sys.stdout.flush()  # whoever started us waits for it


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--auth-token-file {path} cannot be read: {error}") from error
    if len(token) < 16 or not token.isascii() or not token.isprintable():
        raise InputError(
            f"--auth-token-file {path} holds {len(token)} characters; expected 16 or more, printable ASCII"
        )
    return token


def _origin(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise InputError(f"--origin got '{text}'; expected an address without a path, such as https://example.org")
    return f"{parts.scheme}://{parts.netloc}"


def _root_path(text: str) -> str:
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[\w.~-]+)+", path, re.ASCII):
        raise InputError(f"--root-path got '{text}'; expected a path such as /fmnist")
    return path
