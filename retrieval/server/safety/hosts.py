"""Check by which name a client came: a page of the web must not reach this server under a name of its own."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from retrieval.server import is_loopback

if TYPE_CHECKING:
    from retrieval.server import Settings

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


class Hosts:
    """Names by which clients may reach the server.

    On this machine these are its own names and addresses. A server for others also takes any address in digits, which no
    name server of somebody else's can point at it, and this machine's name.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = {name.lower().rstrip(".") for name in settings.allow_hosts} | {"localhost"}
        self._local = settings.is_local
        if not self._local:
            own = socket.gethostname().lower()
            self._names |= {own, own.partition(".")[0], settings.host.strip("[]").lower()}
        self._origins = frozenset(origin.lower() for origin in settings.cors)
        self._known: set[str] = set()

    def allows(self, host: str) -> bool:
        """Say whether a ``Host`` header names this server."""
        if host in self._known:
            return True
        if not self._is_ours(host):
            return False
        if len(self._known) < 64:
            self._known.add(host)
        return True

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().strip("[]").rstrip(".")
        if name in self._names or found[0].lower() in self._names:
            return True
        if self._local:
            return is_loopback(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Say whether a page of this very server asks.

        Args:
            origin: the ``Origin`` header.
            host: the ``Host`` header.
        """
        parts = urlsplit(origin)
        return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()

    def allows_origin(self, origin: str) -> bool:
        """Say whether pages of another origin may ask."""
        return origin.lower() in self._origins or ("*" in self._origins and origin != "null")
