"""Write the rows of a collection: create it, open it for writing, add and delete rows, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.build_report import BuildReport
    from retrieval.collection.rows.creation import create
    from retrieval.collection.rows.generation_files import derived_files
    from retrieval.collection.rows.growth import BothSpaces, Growing, carried, plain
    from retrieval.collection.rows.image_vectors import Images
    from retrieval.collection.rows.key_lists import KeysLike
    from retrieval.collection.rows.lock_wait import TIMEOUT
    from retrieval.collection.rows.moved_files import forget_moved, moved_stamps, remember_moved
    from retrieval.collection.rows.row_sources import hand_number, is_by_hand
    from retrieval.collection.rows.row_writer import RowWriter, synchronized, writing_rows
    from retrieval.collection.rows.rows_report import RowsReport
    from retrieval.collection.rows.vector_blocks import VectorsLike
    from retrieval.collection.rows.vector_sync import build_index_from_vectors, sync_vectors
    from retrieval.collection.rows.writable import (
        check_request,
        learn_rotation,
        locked,
        opened,
        published,
        swept,
    )

__all__ = [
    "TIMEOUT",
    "BothSpaces",
    "BuildReport",
    "Growing",
    "Images",
    "KeysLike",
    "RowWriter",
    "RowsReport",
    "VectorsLike",
    "build_index_from_vectors",
    "carried",
    "check_request",
    "create",
    "derived_files",
    "forget_moved",
    "hand_number",
    "is_by_hand",
    "learn_rotation",
    "locked",
    "moved_stamps",
    "opened",
    "plain",
    "published",
    "remember_moved",
    "swept",
    "sync_vectors",
    "synchronized",
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
            "image_vectors": ("Images",),
            "key_lists": ("KeysLike",),
            "lock_wait": ("TIMEOUT",),
            "moved_files": ("forget_moved", "moved_stamps", "remember_moved"),
            "row_sources": ("hand_number", "is_by_hand"),
            "row_writer": ("RowWriter", "synchronized", "writing_rows"),
            "rows_report": ("RowsReport",),
            "vector_blocks": ("VectorsLike",),
            "vector_sync": ("build_index_from_vectors", "sync_vectors"),
            "writable": ("check_request", "learn_rotation", "locked", "opened", "published", "swept"),
        },
    )
