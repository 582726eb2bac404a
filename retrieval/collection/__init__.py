"""What users open and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection import activations, prefix_loss
    from retrieval.collection.collection import Collection, open_collection
    from retrieval.collection.feature_store import FeatureStore
    from retrieval.collection.migration import Migration, carried_by, require_settled, under_way
    from retrieval.collection.prefix_loss import Loss, loss_of
    from retrieval.collection.query_map import Fitted
    from retrieval.collection.row_records import Records
    from retrieval.collection.row_stores import (
        PAST,
        ROLLBACK_ROWS,
        STAGING,
        next_store,
        remove_staging,
        sweep,
        sweep_changes,
        writer,
    )
    from retrieval.collection.row_view import Row
    from retrieval.collection.snapshot import Opened, open_published
    from retrieval.collection.verification import CHECKED

__all__ = [
    "CHECKED",
    "PAST",
    "ROLLBACK_ROWS",
    "STAGING",
    "Collection",
    "FeatureStore",
    "Fitted",
    "Loss",
    "Migration",
    "Opened",
    "Records",
    "Row",
    "activations",
    "carried_by",
    "loss_of",
    "next_store",
    "open_collection",
    "open_published",
    "prefix_loss",
    "remove_staging",
    "require_settled",
    "sweep",
    "sweep_changes",
    "under_way",
    "writer",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "activations": (),
            "collection": ("Collection", "open_collection"),
            "feature_store": ("FeatureStore",),
            "migration": ("Migration", "carried_by", "require_settled", "under_way"),
            "prefix_loss": ("Loss", "loss_of"),
            "query_map": ("Fitted",),
            "row_records": ("Records",),
            "row_view": ("Row",),
            "snapshot": ("Opened", "open_published"),
            "verification": ("CHECKED",),
            "row_stores": (
                "PAST",
                "ROLLBACK_ROWS",
                "STAGING",
                "next_store",
                "remove_staging",
                "sweep",
                "sweep_changes",
                "writer",
            ),
        },
    )
