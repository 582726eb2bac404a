"""Many collections of one space, asked as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.sharded.numbering import checked_ids, first_of, shard_of
    from retrieval.collection.sharded.sharded_collection import ShardedCollection
    from retrieval.collection.sharded.verification import verify_shards

__all__ = ["ShardedCollection", "checked_ids", "first_of", "shard_of", "verify_shards"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "numbering": ("checked_ids", "first_of", "shard_of"),
            "sharded_collection": ("ShardedCollection",),
            "verification": ("verify_shards",),
        },
    )
