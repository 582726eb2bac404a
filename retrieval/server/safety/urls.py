"""Fetch pictures from public addresses, where the server was told that requests may name some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.sources.remote import Limits, RemoteFiles, is_url, protocol_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrieval.server import Settings


def fetcher(settings: Settings) -> Callable[[str], bytes]:
    """Return what reads a picture at an address of the public web, and of nothing else, through redirects too.

    The address is resolved once, checked, and then connected to: a name server cannot answer otherwise the second time.
    It keeps no cookies, sends no credentials of this machine's, and reads no more than a request may send.
    """
    limits = settings.limits
    files = RemoteFiles(
        limits=Limits(
            seconds=min(20.0, settings.batching.timeout),
            connect_seconds=5.0,
            silent_seconds=10.0,
            most_bytes=limits.body_bytes,
            tries=1,
        )
    )

    def fetch(url: str) -> bytes:
        """Return what lies at an address; `ImageError` if it may not or cannot be read."""
        if not is_url(url) or protocol_of(url) not in {"http", "https"}:
            raise ImageError(
                "url must be an address that begins with http:// or https://", reason="unsupported"
            )
        return files.read(url)

    return fetch
