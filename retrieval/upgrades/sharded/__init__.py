"""A better encoder for a sharded collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.sharded.shard_backfill import backfill_shards
    from retrieval.upgrades.sharded.shard_rollback import finish_shards, rollback_shards
    from retrieval.upgrades.sharded.shard_upgrade import upgrade_shards

__all__ = ["backfill_shards", "finish_shards", "rollback_shards", "upgrade_shards"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "shard_backfill": ("backfill_shards",),
            "shard_rollback": ("finish_shards", "rollback_shards"),
            "shard_upgrade": ("upgrade_shards",),
        },
    )
