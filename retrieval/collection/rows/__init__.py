"""Write the rows of a collection: create it, open it for writing, add and delete rows, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.build_report import BuildReport
    from retrieval.collection.rows.creation import create
    from retrieval.collection.rows.generation_files import derived_files
    from retrieval.collection.rows.growth import BothSpaces, Growing, carried, plain
    from retrieval.collection.rows.hand_publication import (
        device_of,
        phrases_of,
        publish_by_hand,
        rows_where,
    )
    from retrieval.collection.rows.hand_rows import HandRows, Held
    from retrieval.collection.rows.image_vectors import Images
    from retrieval.collection.rows.key_lists import KeyList, KeysLike
    from retrieval.collection.rows.lock_wait import TIMEOUT, waiting_writer
    from retrieval.collection.rows.moved_files import forget_moved, moved_stamps, remember_moved
    from retrieval.collection.rows.row_sources import (
        hand_number,
        is_by_hand,
        origin_of,
        sources_with_hand,
    )
    from retrieval.collection.rows.row_writer import (
        REFUSED,
        RowWriter,
        show_newest,
        synchronized,
        writing_rows,
    )
    from retrieval.collection.rows.rows_report import RowsReport
    from retrieval.collection.rows.vector_blocks import VectorBlocks, VectorsLike
    from retrieval.collection.rows.vector_sync import (
        build_index_from_vectors,
        refuse_dropping,
        sync_vectors,
        write_blocks,
    )
    from retrieval.collection.rows.writable import (
        check_request,
        learn_rotation,
        locked,
        opened,
        published,
        swept,
    )

__all__ = [
    "REFUSED",
    "TIMEOUT",
    "BothSpaces",
    "BuildReport",
    "Growing",
    "HandRows",
    "Held",
    "Images",
    "KeyList",
    "KeysLike",
    "RowWriter",
    "RowsReport",
    "VectorBlocks",
    "VectorsLike",
    "build_index_from_vectors",
    "carried",
    "check_request",
    "create",
    "derived_files",
    "device_of",
    "forget_moved",
    "hand_number",
    "is_by_hand",
    "learn_rotation",
    "locked",
    "moved_stamps",
    "opened",
    "origin_of",
    "phrases_of",
    "plain",
    "publish_by_hand",
    "published",
    "refuse_dropping",
    "remember_moved",
    "rows_where",
    "show_newest",
    "sources_with_hand",
    "swept",
    "sync_vectors",
    "synchronized",
    "waiting_writer",
    "write_blocks",
    "writing_rows",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "build_report": ("BuildReport",),
            "creation": ("create",),
            "generation_files": ("derived_files",),
            "growth": ("BothSpaces", "Growing", "carried", "plain"),
            "hand_publication": ("device_of", "phrases_of", "publish_by_hand", "rows_where"),
            "hand_rows": ("HandRows", "Held"),
            "image_vectors": ("Images",),
            "key_lists": ("KeyList", "KeysLike"),
            "lock_wait": ("TIMEOUT", "waiting_writer"),
            "moved_files": ("forget_moved", "moved_stamps", "remember_moved"),
            "row_sources": ("hand_number", "is_by_hand", "origin_of", "sources_with_hand"),
            "row_writer": (
                "REFUSED",
                "RowWriter",
                "show_newest",
                "synchronized",
                "writing_rows",
            ),
            "rows_report": ("RowsReport",),
            "vector_blocks": ("VectorBlocks", "VectorsLike"),
            "vector_sync": ("build_index_from_vectors", "refuse_dropping", "sync_vectors", "write_blocks"),
            "writable": ("check_request", "learn_rotation", "locked", "opened", "published", "swept"),
        },
    )
