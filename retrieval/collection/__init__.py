"""What users open and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection import activations, prefix_loss
    from retrieval.collection.collection import Collection, open_collection
    from retrieval.collection.encoder_check import require_same_vectors, trust
    from retrieval.collection.hits import Hit
    from retrieval.collection.migration import Migration, carried_by, require_settled
    from retrieval.collection.prefix_loss import Loss, loss_of
    from retrieval.collection.query_map import Fitted
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
    from retrieval.collection.terms import Term, image, parse_term, row, text

__all__ = [
    "PAST",
    "ROLLBACK_ROWS",
    "STAGING",
    "Collection",
    "Fitted",
    "Hit",
    "Loss",
    "Migration",
    "Term",
    "activations",
    "carried_by",
    "image",
    "loss_of",
    "next_store",
    "open_collection",
    "parse_term",
    "prefix_loss",
    "remove_staging",
    "require_same_vectors",
    "require_settled",
    "row",
    "sweep",
    "sweep_changes",
    "text",
    "trust",
    "writer",
]

__getattr__ = lazy(
    __name__,
    {
        "activations": (),
        "collection": ("Collection", "open_collection"),
        "encoder_check": ("require_same_vectors", "trust"),
        "hits": ("Hit",),
        "migration": ("Migration", "carried_by", "require_settled"),
        "prefix_loss": ("Loss", "loss_of"),
        "query_map": ("Fitted",),
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
        "terms": ("Term", "image", "parse_term", "row", "text"),
    },
)
