"""Open a collection for reading: one generation, and both spaces during an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.snapshots.migration import (
        Migration,
        carried_by,
        require_settled,
        summary,
        under_way,
    )
    from retrieval.collection.snapshots.opening import newest_version, open_newest, open_published
    from retrieval.collection.snapshots.query_map import Fitted
    from retrieval.collection.snapshots.snapshot import Opened

__all__ = [
    "Fitted",
    "Migration",
    "Opened",
    "carried_by",
    "newest_version",
    "open_newest",
    "open_published",
    "require_settled",
    "summary",
    "under_way",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "migration": ("Migration", "carried_by", "require_settled", "summary", "under_way"),
            "opening": ("newest_version", "open_newest", "open_published"),
            "query_map": ("Fitted",),
            "snapshot": ("Opened",),
        },
    )
