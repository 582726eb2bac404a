"""Open a collection for reading: one generation, and both spaces during an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.snapshots.migration import (
        Migration as Migration,
        carried_by as carried_by,
        encoded_so_far as encoded_so_far,
        require_settled as require_settled,
        summary as summary,
        under_way as under_way,
    )
    from retrieval.collection.snapshots.opening import (
        newest_version as newest_version,
        open_newest as open_newest,
        open_published as open_published,
    )
    from retrieval.collection.snapshots.query_map import Fitted as Fitted
    from retrieval.collection.snapshots.snapshot import Opened as Opened

lazy(__name__)
