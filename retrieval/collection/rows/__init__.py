"""Write the rows of a collection: create it, open it for writing, add and delete rows, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.build_report import BuildReport, published_facts
    from retrieval.collection.rows.by_hand import (
        REFUSED,
        HandRows,
        Held,
        RowsReport,
        RowWriter,
        build_index_from_vectors,
        create,
        device_of,
        hand_number,
        is_by_hand,
        origin_of,
        phrases_of,
        publish_by_hand,
        refuse_dropping,
        rows_where,
        show_newest,
        sources_with_hand,
        sync_vectors,
        synchronized,
        write_blocks,
        writing_rows,
    )
    from retrieval.collection.rows.generation_files import derived_files
    from retrieval.collection.rows.growth import BothSpaces, Growing, carried, plain
    from retrieval.collection.rows.inputs import Images, KeyList, KeysLike, VectorBlocks, VectorsLike
    from retrieval.collection.rows.lock_wait import TIMEOUT, waiting_writer
    from retrieval.collection.rows.moved_files import forget_moved, moved_stamps, remember_moved
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
    "published_facts",
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
            "build_report": ("BuildReport", "published_facts"),
            "by_hand": (
                "HandRows",
                "Held",
                "REFUSED",
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
            ),
            "generation_files": ("derived_files",),
            "growth": ("BothSpaces", "Growing", "carried", "plain"),
            "inputs": ("Images", "KeyList", "KeysLike", "VectorBlocks", "VectorsLike"),
            "lock_wait": ("TIMEOUT", "waiting_writer"),
            "moved_files": ("forget_moved", "moved_stamps", "remember_moved"),
            "writable": ("check_request", "learn_rotation", "locked", "opened", "published", "swept"),
        },
    )
