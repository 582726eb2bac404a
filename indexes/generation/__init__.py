"""The manifest and what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation import file_checks
    from indexes.generation.build_request import is_new, request
    from indexes.generation.columns import TABLE, Columns
    from indexes.generation.description import (
        GENERATIONS,
        MANIFEST,
        MIGRATING,
        PLAIN,
        REENCODING,
        Manifest,
        Request,
        generation_path,
        kept_files,
        read_manifest,
        store_path,
    )
    from indexes.generation.index_kinds import NAMED, Exact, FileInfo, Funnel, IndexInfo, Inverted
    from indexes.generation.key_files import open_keys
    from indexes.generation.key_table import KEYS, KeyTable
    from indexes.generation.list_sizes import LIST_SIZES, open_list_sizes, write_list_sizes
    from indexes.generation.manifest import (
        INDEX,
        check_file,
        check_sizes,
        has_stale_generations,
        new_generation_dir,
        publish,
        publish_beside,
        sweep_generations,
        write_manifest,
    )
    from indexes.generation.pins import Pin, pin_generation, read_pinned
    from indexes.generation.recent import Recent
    from indexes.generation.row_files import further_files, further_name, kept_files_and_next
    from indexes.generation.row_lists import ROW_LISTS, RowLists, listed_rows, open_row_lists
    from indexes.generation.shards import (
        SHARDS,
        SHIFT,
        Shard,
        Shards,
        Training,
        read_shards,
        read_whole_manifest,
        shard_name,
        shards_around,
        write_shards,
    )
    from indexes.generation.sources import FOLDER, HAND, Source, free_number, source_of_type
    from indexes.generation.tombstones import TOMBSTONES, published_live, write_live
    from indexes.generation.verification import FileCheck, verify
else:
    __getattr__ = lazy(
        __name__,
        {
            "build_request": ("is_new", "request"),
            "columns": ("TABLE", "Columns"),
            "description": (
                "GENERATIONS",
                "MANIFEST",
                "MIGRATING",
                "PLAIN",
                "REENCODING",
                "Manifest",
                "Request",
                "generation_path",
                "kept_files",
                "read_manifest",
                "store_path",
            ),
            "file_checks": (),
            "index_kinds": ("NAMED", "Exact", "FileInfo", "Funnel", "IndexInfo", "Inverted"),
            "key_files": ("open_keys",),
            "key_table": ("KEYS", "KeyTable"),
            "list_sizes": ("LIST_SIZES", "open_list_sizes", "write_list_sizes"),
            "manifest": (
                "INDEX",
                "check_file",
                "check_sizes",
                "has_stale_generations",
                "new_generation_dir",
                "publish",
                "publish_beside",
                "sweep_generations",
                "write_manifest",
            ),
            "pins": ("Pin", "pin_generation", "read_pinned"),
            "recent": ("Recent",),
            "row_files": ("further_files", "further_name", "kept_files_and_next"),
            "row_lists": ("ROW_LISTS", "RowLists", "listed_rows", "open_row_lists"),
            "shards": (
                "SHARDS",
                "SHIFT",
                "Shard",
                "Shards",
                "Training",
                "read_shards",
                "read_whole_manifest",
                "shard_name",
                "shards_around",
                "write_shards",
            ),
            "sources": ("FOLDER", "HAND", "Source", "free_number", "source_of_type"),
            "tombstones": ("TOMBSTONES", "published_live", "write_live"),
            "verification": ("FileCheck", "verify"),
        },
    )

__all__ = [
    "FOLDER",
    "GENERATIONS",
    "HAND",
    "INDEX",
    "KEYS",
    "LIST_SIZES",
    "MANIFEST",
    "MIGRATING",
    "NAMED",
    "PLAIN",
    "REENCODING",
    "ROW_LISTS",
    "SHARDS",
    "SHIFT",
    "TABLE",
    "TOMBSTONES",
    "Columns",
    "Exact",
    "FileCheck",
    "FileInfo",
    "Funnel",
    "IndexInfo",
    "Inverted",
    "KeyTable",
    "Manifest",
    "Pin",
    "Recent",
    "Request",
    "RowLists",
    "Shard",
    "Shards",
    "Source",
    "Training",
    "check_file",
    "check_sizes",
    "file_checks",
    "free_number",
    "further_files",
    "further_name",
    "generation_path",
    "has_stale_generations",
    "is_new",
    "kept_files",
    "kept_files_and_next",
    "listed_rows",
    "new_generation_dir",
    "open_keys",
    "open_list_sizes",
    "open_row_lists",
    "pin_generation",
    "publish",
    "publish_beside",
    "published_live",
    "read_manifest",
    "read_pinned",
    "read_shards",
    "read_whole_manifest",
    "request",
    "shard_name",
    "shards_around",
    "source_of_type",
    "store_path",
    "sweep_generations",
    "verify",
    "write_list_sizes",
    "write_live",
    "write_manifest",
    "write_shards",
]
