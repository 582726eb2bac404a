"""Files at URLs: read with limits and retries, from public addresses only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.remote.attempts import Attempts
    from retrieval.sources.remote.failures import RemoteError
    from retrieval.sources.remote.files import RemoteFile, RemoteFiles
    from retrieval.sources.remote.limits import READERS, Limits
    from retrieval.sources.remote.readers import read_ahead
    from retrieval.sources.remote.source import RemoteSource
    from retrieval.sources.remote.urls import is_url, joined, protocol_of, public_url, scrubbed

__all__ = [
    "READERS",
    "Attempts",
    "Limits",
    "RemoteError",
    "RemoteFile",
    "RemoteFiles",
    "RemoteSource",
    "is_url",
    "joined",
    "protocol_of",
    "public_url",
    "read_ahead",
    "scrubbed",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "attempts": ("Attempts",),
            "failures": ("RemoteError",),
            "files": ("RemoteFile", "RemoteFiles"),
            "limits": ("READERS", "Limits"),
            "readers": ("read_ahead",),
            "source": ("RemoteSource",),
            "urls": ("is_url", "joined", "protocol_of", "public_url", "scrubbed"),
        },
    )
