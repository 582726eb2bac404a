"""Read and write the files that a generation has for its rows: keys, lists, deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation.row_files.key_files import open_keys
    from indexes.generation.row_files.key_table import KEYS, KeyTable
    from indexes.generation.row_files.list_sizes import LIST_SIZES, open_list_sizes, write_list_sizes
    from indexes.generation.row_files.row_files import further_files, further_name, kept_files_and_next
    from indexes.generation.row_files.segment_names import SegmentFile, indexed_rows, segment_files
    from indexes.generation.row_files.tombstones import TOMBSTONES, published_live, write_live

__all__ = [
    "KEYS",
    "LIST_SIZES",
    "TOMBSTONES",
    "KeyTable",
    "SegmentFile",
    "further_files",
    "further_name",
    "indexed_rows",
    "kept_files_and_next",
    "open_keys",
    "open_list_sizes",
    "published_live",
    "segment_files",
    "write_list_sizes",
    "write_live",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "key_files": ("open_keys",),
            "key_table": ("KEYS", "KeyTable"),
            "list_sizes": ("LIST_SIZES", "open_list_sizes", "write_list_sizes"),
            "row_files": ("further_files", "further_name", "kept_files_and_next"),
            "segment_names": ("SegmentFile", "indexed_rows", "segment_files"),
            "tombstones": ("TOMBSTONES", "published_live", "write_live"),
        },
    )
