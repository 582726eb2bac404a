"""Describe a collection: what `manifest.json` and `shards.json` say, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation.description.build_request import is_new, request
    from indexes.generation.description.columns import TABLE, Columns
    from indexes.generation.description.description import (
        FORMAT,
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
        returnable,
        store_path,
    )
    from indexes.generation.description.index_kinds import NAMED, Exact, FileInfo, Funnel, IndexInfo, Inverted
    from indexes.generation.description.recent import Recent
    from indexes.generation.description.shards import (
        SHARDS,
        SHIFT,
        Shard,
        Shards,
        Training,
        kept_for_readers,
        read_shards,
        read_whole_manifest,
        shard_name,
        shards_around,
        stores_for_readers,
        write_shards,
    )
    from indexes.generation.description.sources import FOLDER, HAND, Source, free_number, source_of_type

__all__ = [
    "FOLDER",
    "FORMAT",
    "GENERATIONS",
    "HAND",
    "MANIFEST",
    "MIGRATING",
    "NAMED",
    "PLAIN",
    "REENCODING",
    "SHARDS",
    "SHIFT",
    "TABLE",
    "Columns",
    "Exact",
    "FileInfo",
    "Funnel",
    "IndexInfo",
    "Inverted",
    "Manifest",
    "Recent",
    "Request",
    "Shard",
    "Shards",
    "Source",
    "Training",
    "free_number",
    "generation_path",
    "is_new",
    "kept_files",
    "kept_for_readers",
    "read_manifest",
    "read_shards",
    "read_whole_manifest",
    "request",
    "returnable",
    "shard_name",
    "shards_around",
    "source_of_type",
    "store_path",
    "stores_for_readers",
    "write_shards",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "build_request": ("is_new", "request"),
            "columns": ("Columns", "TABLE"),
            "description": (
                "FORMAT",
                "GENERATIONS",
                "MANIFEST",
                "MIGRATING",
                "Manifest",
                "PLAIN",
                "REENCODING",
                "Request",
                "generation_path",
                "kept_files",
                "read_manifest",
                "returnable",
                "store_path",
            ),
            "index_kinds": ("Exact", "FileInfo", "Funnel", "IndexInfo", "Inverted", "NAMED"),
            "recent": ("Recent",),
            "shards": (
                "SHARDS",
                "SHIFT",
                "Shard",
                "Shards",
                "Training",
                "kept_for_readers",
                "read_shards",
                "read_whole_manifest",
                "shard_name",
                "shards_around",
                "stores_for_readers",
                "write_shards",
            ),
            "sources": ("FOLDER", "HAND", "Source", "free_number", "source_of_type"),
        },
    )
