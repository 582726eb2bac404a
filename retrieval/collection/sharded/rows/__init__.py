"""Write the rows of a sharded collection, and publish its shards as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.sharded.rows.publication import (
        SHARD_ROWS,
        Asked,
        publish_as_they_are,
        publish_shards,
        require_no_upgrade,
    )
    from retrieval.collection.sharded.rows.shard_writer import sync_shards, writing_shards

__all__ = [
    "SHARD_ROWS",
    "Asked",
    "publish_as_they_are",
    "publish_shards",
    "require_no_upgrade",
    "sync_shards",
    "writing_shards",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "publication": (
                "SHARD_ROWS",
                "Asked",
                "publish_as_they_are",
                "publish_shards",
                "require_no_upgrade",
            ),
            "shard_writer": ("sync_shards", "writing_shards"),
        },
    )
