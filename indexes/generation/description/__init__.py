"""Describe a collection: what `manifest.json` and `shards.json` say, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation.description.build_request import is_new as is_new, request as request
    from indexes.generation.description.columns import TABLE as TABLE, Columns as Columns
    from indexes.generation.description.description import (
        FORMAT as FORMAT,
        MIGRATING as MIGRATING,
        PLAIN as PLAIN,
        REENCODING as REENCODING,
        Manifest as Manifest,
        Request as Request,
        generation_path as generation_path,
        kept_files as kept_files,
        read_manifest as read_manifest,
        returnable as returnable,
        store_path as store_path,
    )
    from indexes.generation.description.index_kinds import (
        NAMED as NAMED,
        Exact as Exact,
        FileInfo as FileInfo,
        Funnel as Funnel,
        IndexInfo as IndexInfo,
        Inverted as Inverted,
    )
    from indexes.generation.description.recent import Recent as Recent
    from indexes.generation.description.shards import (
        SHIFT as SHIFT,
        Shard as Shard,
        Shards as Shards,
        Training as Training,
        kept_for_readers as kept_for_readers,
        read_shards as read_shards,
        read_whole_manifest as read_whole_manifest,
        shard_name as shard_name,
        shards_around as shards_around,
        stores_for_readers as stores_for_readers,
        write_shards as write_shards,
    )
    from indexes.generation.description.sources import (
        FOLDER as FOLDER,
        HAND as HAND,
        Source as Source,
        free_number as free_number,
        source_of_type as source_of_type,
    )
    from indexes.layout import GENERATIONS as GENERATIONS, MANIFEST as MANIFEST, SHARDS as SHARDS

lazy(__name__)
