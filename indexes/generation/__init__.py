"""The manifest and what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation import file_checks as file_checks
    from indexes.generation.description import (
        FOLDER as FOLDER,
        GENERATIONS as GENERATIONS,
        HAND as HAND,
        MANIFEST as MANIFEST,
        MIGRATING as MIGRATING,
        NAMED as NAMED,
        PLAIN as PLAIN,
        REENCODING as REENCODING,
        SHARDS as SHARDS,
        SHIFT as SHIFT,
        TABLE as TABLE,
        Columns as Columns,
        Exact as Exact,
        FileInfo as FileInfo,
        Funnel as Funnel,
        IndexInfo as IndexInfo,
        Inverted as Inverted,
        Manifest as Manifest,
        Recent as Recent,
        Request as Request,
        Shard as Shard,
        Shards as Shards,
        Source as Source,
        Training as Training,
        free_number as free_number,
        generation_path as generation_path,
        is_new as is_new,
        kept_files as kept_files,
        read_manifest as read_manifest,
        read_shards as read_shards,
        read_whole_manifest as read_whole_manifest,
        request as request,
        shard_name as shard_name,
        shards_around as shards_around,
        source_of_type as source_of_type,
        store_path as store_path,
        stores_for_readers as stores_for_readers,
        write_shards as write_shards,
    )
    from indexes.generation.manifest import (
        INDEX as INDEX,
        check_file as check_file,
        check_sizes as check_sizes,
        has_stale_generations as has_stale_generations,
        new_generation_dir as new_generation_dir,
        publish as publish,
        publish_beside as publish_beside,
        record_activations as record_activations,
        sweep_generations as sweep_generations,
        write_manifest as write_manifest,
    )
    from indexes.generation.pins import (
        Pin as Pin,
        pin_generation as pin_generation,
        read_pinned as read_pinned,
    )
    from indexes.generation.row_files import (
        KEYS as KEYS,
        LIST_SIZES as LIST_SIZES,
        TOMBSTONES as TOMBSTONES,
        KeyTable as KeyTable,
        SegmentFile as SegmentFile,
        further_files as further_files,
        further_name as further_name,
        indexed_rows as indexed_rows,
        kept_files_and_next as kept_files_and_next,
        open_keys as open_keys,
        open_list_sizes as open_list_sizes,
        published_live as published_live,
        segment_files as segment_files,
        write_list_sizes as write_list_sizes,
        write_live as write_live,
    )
    from indexes.generation.verification import FileCheck as FileCheck, verify as verify

lazy(__name__)
