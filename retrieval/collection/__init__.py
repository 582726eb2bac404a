"""What users open and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection import activations as activations, prefix_loss as prefix_loss
    from retrieval.collection.collection import Collection as Collection, open_collection as open_collection
    from retrieval.collection.prefix_loss import Loss as Loss, loss_of as loss_of
    from retrieval.collection.row_records import Records as Records
    from retrieval.collection.row_stores import (
        PAST as PAST,
        ROLLBACK_ROWS as ROLLBACK_ROWS,
        STAGING as STAGING,
        next_store as next_store,
        remove_staging as remove_staging,
        sweep as sweep,
        sweep_changes as sweep_changes,
        writer as writer,
    )
    from retrieval.collection.row_view import Keys as Keys, Row as Row
    from retrieval.collection.snapshots import (
        Fitted as Fitted,
        Migration as Migration,
        Opened as Opened,
        carried_by as carried_by,
        encoded_so_far as encoded_so_far,
        open_published as open_published,
        require_settled as require_settled,
        under_way as under_way,
    )
    from retrieval.collection.verdicts import CHECKED as CHECKED, FeatureStore as FeatureStore

lazy(__name__)
