"""Many collections of one space, asked as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.sharded.numbering import (
        checked_ids as checked_ids,
        first_of as first_of,
        shard_of as shard_of,
    )
    from retrieval.collection.sharded.sharded_collection import ShardedCollection as ShardedCollection
    from retrieval.collection.sharded.verification import verify_shards as verify_shards

lazy(__name__)
