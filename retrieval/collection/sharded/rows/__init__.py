"""Write the rows of a sharded collection, and publish its shards as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.sharded.rows.lost_manifests import restore_manifests as restore_manifests
    from retrieval.collection.sharded.rows.publication import (
        SHARD_ROWS as SHARD_ROWS,
        Asked as Asked,
        publish_as_they_are as publish_as_they_are,
        publish_shards as publish_shards,
        require_no_upgrade as require_no_upgrade,
    )
    from retrieval.collection.sharded.rows.shard_writer import (
        sync_shards as sync_shards,
        writing_shards as writing_shards,
    )

lazy(__name__)
