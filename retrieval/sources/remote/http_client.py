"""Fetch files over HTTP: only from public addresses, with limits of time, size and redirects."""

from __future__ import annotations

import asyncio
import netrc
import os
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import aiohttp
from fsspec.implementations.http import HTTPFileSystem
from yarl import URL

from indexes import DISTRIBUTION
from retrieval.sources.remote.addresses import CheckedResolver, checked_socket
from retrieval.sources.remote.failures import remote_error, status_failure

if TYPE_CHECKING:
    from retrieval.sources.remote.limits import Limits

_REDIRECTS = 8
_CHUNK = 1 << 18


def http_files(limits: Limits, *, allow_private: bool) -> HTTPFileSystem:
    """Return fsspec's file system for HTTP, with a client that keeps to the limits.

    Proxies of the environment are used only if private addresses are allowed: a proxy resolves names by itself.
    """
    return HTTPFileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        get_client=partial(_client, limits, allow_private=allow_private),
    )


async def _client(limits: Limits, *, allow_private: bool, **options: Any) -> aiohttp.ClientSession:
    guard: dict[str, Any] = {}
    if not allow_private:
        guard = {"resolver": CheckedResolver(), "socket_factory": checked_socket}
    options.pop("loop", None)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limits.readers, **guard),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": DISTRIBUTION, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(
            total=limits.seconds, sock_connect=limits.connect_seconds, sock_read=limits.silent_seconds
        ),
        trust_env=allow_private and bool(getproxies()),  # it costs two threads a request
        **options,
    )


def fetch(files: HTTPFileSystem, url: str, *, most: int, limits: Limits) -> bytes:
    """Return what a URL gives; many threads may wait at a time.

    Args:
        files: of `http_files`.
        url: may hold user and password; without them those of ``.netrc`` are used.
        most: bytes that it may have.
        limits: of time.
    Raises:
        RemoteError: it has more bytes, or the server answers with an error.
        Exception: whatever the client raises.
    """
    reading = _fetch(files, url, most=most, limits=limits)
    return asyncio.run_coroutine_threadsafe(reading, files.loop).result()


async def _fetch(files: HTTPFileSystem, url: str, *, most: int, limits: Limits) -> bytes:
    session = await files.set_session()
    address = URL(url, encoded=_is_encoded(url))
    headers = {} if session.trust_env else _authorization(address)  # else the client looks itself
    end = asyncio.get_running_loop().time() + limits.seconds
    silence = aiohttp.ClientTimeout(
        total=None, sock_connect=limits.connect_seconds, sock_read=limits.silent_seconds
    )
    parts: list[bytes] = []
    size = 0
    try:
        async with (
            asyncio.timeout_at(end) as clock,
            session.get(address, max_redirects=_REDIRECTS, headers=headers, timeout=silence) as answer,
        ):
            if answer.status != 200:
                raise status_failure(
                    url, answer.status, answer.reason or "", after=_seconds(answer.headers.get("Retry-After"))
                )
            if (answer.content_length or 0) > most:
                raise _too_large(url, most)
            async for part in answer.content.iter_chunked(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > most:
                    raise _too_large(url, most)
                clock.reschedule(end + size / _CHUNK)
    except TimeoutError as error:
        if not (parts and clock.expired()):
            raise
        what = f"sent {size:,} bytes in {limits.seconds:g} s, which is too slow"
        raise remote_error(url, "timeout", what) from error  # another try would take as long
    return b"".join(parts)


def _too_large(url: str, most: int) -> Exception:
    return remote_error(url, "too-large", f"has more than {most:,} bytes")


def _is_encoded(url: str) -> bool:
    """Say whether a URL is to be sent as it is written: a signature holds for every character."""
    return url.isascii() and " " not in url and "%" in url


def _authorization(url: URL) -> dict[str, str]:
    """Return the header with user and password of a host, from the file that NETRC names, or ``~/.netrc``; none if the URL has its own."""
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    if url.user is not None or url.host is None or not os.path.isfile(path):
        return {}
    try:
        found = netrc.netrc(path).authenticators(url.host)
    except (OSError, netrc.NetrcParseError):
        return {}
    if found is None:
        return {}
    return {"Authorization": "Basic " + b64encode(f"{found[0]}:{found[2] or ''}".encode()).decode()}


def _seconds(text: str | None) -> float | None:
    """Return what ``Retry-After`` says in seconds; None for a date, or nothing."""
    return float(text) if text is not None and text.strip().isdecimal() else None
