"""Add, replace and delete rows by hand, and publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.by_hand.creation import create
    from retrieval.collection.rows.by_hand.hand_publication import (
        device_of,
        phrases_of,
        publish_by_hand,
        rows_where,
    )
    from retrieval.collection.rows.by_hand.hand_rows import HandRows, Held
    from retrieval.collection.rows.by_hand.row_sources import (
        hand_number,
        is_by_hand,
        origin_of,
        sources_with_hand,
    )
    from retrieval.collection.rows.by_hand.row_writer import (
        REFUSED,
        RowWriter,
        show_newest,
        synchronized,
        writing_rows,
    )
    from retrieval.collection.rows.by_hand.rows_by_hand import Contents
    from retrieval.collection.rows.by_hand.rows_report import RowsReport
    from retrieval.collection.rows.by_hand.vector_sync import (
        build_index_from_vectors,
        refuse_dropping,
        sync_vectors,
        write_blocks,
    )

__all__ = [
    "REFUSED",
    "Contents",
    "HandRows",
    "Held",
    "RowWriter",
    "RowsReport",
    "build_index_from_vectors",
    "create",
    "device_of",
    "hand_number",
    "is_by_hand",
    "origin_of",
    "phrases_of",
    "publish_by_hand",
    "refuse_dropping",
    "rows_where",
    "show_newest",
    "sources_with_hand",
    "sync_vectors",
    "synchronized",
    "write_blocks",
    "writing_rows",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "creation": ("create",),
            "hand_publication": ("device_of", "phrases_of", "publish_by_hand", "rows_where"),
            "hand_rows": ("HandRows", "Held"),
            "row_sources": ("hand_number", "is_by_hand", "origin_of", "sources_with_hand"),
            "row_writer": ("REFUSED", "RowWriter", "show_newest", "synchronized", "writing_rows"),
            "rows_by_hand": ("Contents",),
            "rows_report": ("RowsReport",),
            "vector_sync": ("build_index_from_vectors", "refuse_dropping", "sync_vectors", "write_blocks"),
        },
    )
