"""Takes the address at which a server is asked, and later lets clients connect there: once somebody can answer."""

import socket

from fmnist.errors import InputError

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """Return a socket with an address; an `InputError` if that cannot be had. Nobody can connect before `listen`."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise _taken(host, port, error) from error
    return listener


def listen(listener: socket.socket) -> None:
    """Let clients connect; an `InputError` if another process was given the address meanwhile."""
    try:
        listener.listen(_BACKLOG)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _taken(host, port, error) from error


def _taken(host: str, port: int, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"cannot listen on {host}, port {port}: {reason}; give another --host or --port")
