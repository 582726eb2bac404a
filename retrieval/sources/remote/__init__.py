"""Files at URLs: read with limits and retries, from public addresses only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.remote.attempts import Attempts as Attempts
    from retrieval.sources.remote.failures import RemoteError as RemoteError
    from retrieval.sources.remote.files import RemoteFile as RemoteFile, RemoteFiles as RemoteFiles
    from retrieval.sources.remote.limits import READERS as READERS, Limits as Limits
    from retrieval.sources.remote.readers import read_ahead as read_ahead
    from retrieval.sources.remote.source import RemoteSource as RemoteSource
    from retrieval.sources.remote.urls import (
        is_url as is_url,
        joined as joined,
        protocol_of as protocol_of,
        public_url as public_url,
        scrubbed as scrubbed,
    )

lazy(__name__)
