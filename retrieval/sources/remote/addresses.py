"""Check network addresses at the moment of connecting: strangers' URLs must not reach private networks.

A name is resolved once, every address that it has is checked, and the connection goes to one of these very addresses: a
second look-up, which a hostile name server could answer otherwise, never happens. Redirects connect the same way.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import ThreadedResolver

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


class PrivateAddress(OSError):
    """A connection to an address that is not on the public internet."""


class CheckedResolver:
    """Resolve names as the system does, and refuse one that has a private address; one of aiohttp's resolvers."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            PrivateAddress: one of them is private.
            OSError: the name is not known.
        """
        found = await self._system.resolve(host, port, family)
        for address in found:
            _require_public(address["host"])
        return found

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._system.close()


def checked_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for a connection.

    Args:
        info: as `socket.getaddrinfo` has it: family, type, protocol, name, address.
    Raises:
        PrivateAddress: it would lead to a private address.
    """
    family, kind, protocol, _, address = info
    _require_public(address[0])
    return socket.socket(family=family, type=kind, proto=protocol)


def is_private(text: str) -> bool:
    """Say whether an IP address is not on the public internet; so is one that carries such an IPv4 address within."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None:
            return True  # a tunnel through a server of anybody's choice
        if address in _NAT64 or address in _COMPATIBLE:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_private(str(inner))
    return not address.is_global or address.is_multicast


def _require_public(address: str) -> None:
    if is_private(address):
        raise PrivateAddress(f"its host has the private address {address}")
