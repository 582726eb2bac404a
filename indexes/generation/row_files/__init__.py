"""Read and write the files that a generation has for its rows: keys, lists, deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.generation.row_files.key_files import open_keys as open_keys
    from indexes.generation.row_files.key_table import KEYS as KEYS, KeyTable as KeyTable
    from indexes.generation.row_files.list_sizes import (
        LIST_SIZES as LIST_SIZES,
        open_list_sizes as open_list_sizes,
        write_list_sizes as write_list_sizes,
    )
    from indexes.generation.row_files.row_files import (
        further_files as further_files,
        further_name as further_name,
        kept_files_and_next as kept_files_and_next,
    )
    from indexes.generation.row_files.segment_names import (
        SegmentFile as SegmentFile,
        indexed_rows as indexed_rows,
        segment_files as segment_files,
    )
    from indexes.generation.row_files.tombstones import (
        TOMBSTONES as TOMBSTONES,
        published_live as published_live,
        write_live as write_live,
    )

lazy(__name__)
