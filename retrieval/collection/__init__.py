"""What users open and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection import activations, prefix_loss
    from retrieval.collection.collection import Collection, open_collection
    from retrieval.collection.prefix_loss import Loss, loss_of
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
    from retrieval.collection.snapshots import (
        Fitted,
        Migration,
        Opened,
        carried_by,
        open_published,
        require_settled,
        under_way,
    )
    from retrieval.collection.verdicts import CHECKED, FeatureStore

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
            "prefix_loss": ("Loss", "loss_of"),
            "row_records": ("Records",),
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
            "row_view": ("Row",),
            "snapshots": (
                "Fitted",
                "Migration",
                "Opened",
                "carried_by",
                "open_published",
                "require_settled",
                "under_way",
            ),
            "verdicts": ("CHECKED", "FeatureStore"),
        },
    )
