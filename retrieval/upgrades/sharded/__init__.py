"""A better encoder for a sharded collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.sharded.shard_backfill import backfill_shards as backfill_shards
    from retrieval.upgrades.sharded.shard_rollback import (
        finish_shards as finish_shards,
        rollback_shards as rollback_shards,
    )
    from retrieval.upgrades.sharded.shard_upgrade import upgrade_shards as upgrade_shards

lazy(__name__)
