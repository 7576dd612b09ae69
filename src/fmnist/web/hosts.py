"""Tells as which hosts a server is known, and whether a request comes from this machine itself."""

import ipaddress
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fmnist.web.settings import Settings

# With which proxies tell for whom they ask.
_PASSED_ON = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"via")


def is_loopback(address: str) -> bool:
    """Whether an address, or `localhost`, is this machine's own."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def known(settings: Settings) -> frozenset[str] | None:
    """Return the names that requests may be meant for; None where any will do.

    A server on the loopback would otherwise answer any page whose owner lets its name point there (DNS rebinding).
    """
    own = {name(urlsplit(origin).netloc) for origin in settings.origins}
    local = {"localhost", "127.0.0.1", "::1"}
    loopback = is_loopback(settings.host)
    return frozenset(own | local | {settings.host.lower()}) if loopback or own else None


def name(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def private(settings: Settings) -> bool:
    """Whether a server is for this machine alone: it listens on the loopback, and no proxy offers it to others."""
    return is_loopback(settings.host) and not settings.origins and not settings.root_path


def asked_here(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request comes from this machine, and no proxy passed it on.

    One that another process of ours passes on has no address; that process has looked.
    """
    passed_on = any(header.startswith(_PASSED_ON) for header, _ in scope["headers"])
    return not passed_on and (scope.get("client") is None or is_loopback(scope["client"][0]))
