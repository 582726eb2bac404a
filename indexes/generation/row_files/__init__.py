"""Read and write the files that a generation has for its rows: keys, lists, deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation.row_files.key_files import open_keys
    from indexes.generation.row_files.key_table import KEYS, KeyTable
    from indexes.generation.row_files.list_sizes import LIST_SIZES, open_list_sizes, write_list_sizes
    from indexes.generation.row_files.row_files import further_files, further_name, kept_files_and_next
    from indexes.generation.row_files.row_lists import ROW_LISTS, RowLists, listed_rows, open_row_lists
    from indexes.generation.row_files.tombstones import TOMBSTONES, published_live, write_live

__all__ = [
    "KEYS",
    "LIST_SIZES",
    "ROW_LISTS",
    "TOMBSTONES",
    "KeyTable",
    "RowLists",
    "further_files",
    "further_name",
    "kept_files_and_next",
    "listed_rows",
    "open_keys",
    "open_list_sizes",
    "open_row_lists",
    "published_live",
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
            "row_lists": ("ROW_LISTS", "RowLists", "listed_rows", "open_row_lists"),
            "tombstones": ("TOMBSTONES", "published_live", "write_live"),
        },
    )
