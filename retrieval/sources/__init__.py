"""Where images come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources import file_marks as file_marks, keys as keys
    from retrieval.sources.collection_source import (
        MEMORIES as MEMORIES,
        CollectionSource as CollectionSource,
        memory_of as memory_of,
        open_recorded as open_recorded,
        open_source as open_source,
        spec_of as spec_of,
    )
    from retrieval.sources.csv_files import csv_lines as csv_lines
    from retrieval.sources.folders import (
        FIRST_BYTES as FIRST_BYTES,
        FORMATS as FORMATS,
        NOT_FOLLOWED as NOT_FOLLOWED,
        RAW_SUFFIXES as RAW_SUFFIXES,
        RESOURCE_FORK as RESOURCE_FORK,
        SUFFIXES as SUFFIXES,
        UNSUPPORTED as UNSUPPORTED,
        UNSUPPORTED_FORMAT as UNSUPPORTED_FORMAT,
        Folder as Folder,
        FolderMemory as FolderMemory,
        FolderOptions as FolderOptions,
        FolderSource as FolderSource,
        Found as Found,
        Part as Part,
        Seen as Seen,
        Selection as Selection,
        Skipped as Skipped,
        SourceEntry as SourceEntry,
        digest as digest,
        folder_memory as folder_memory,
        has_image_suffix as has_image_suffix,
        holding as holding,
        recognise as recognise,
        remember as remember,
        suffix_of as suffix_of,
        walk as walk,
    )
    from retrieval.sources.hashed_keys import DistinctKeys as DistinctKeys, KeyPlaces as KeyPlaces
    from retrieval.sources.keys import glob_pattern as glob_pattern, stamp as stamp
    from retrieval.sources.protocol import (
        LONGEST_NAME as LONGEST_NAME,
        MOST_COLUMNS as MOST_COLUMNS,
        ColumnSource as ColumnSource,
        ColumnValue as ColumnValue,
        CountedSource as CountedSource,
        Entry as Entry,
        FileSource as FileSource,
        Listed as Listed,
        ReadAheadSource as ReadAheadSource,
        RememberingSource as RememberingSource,
        Source as Source,
        SourceType as SourceType,
        WatchedColumnSource as WatchedColumnSource,
    )
    from retrieval.sources.registry import (
        SINGLE_FILE as SINGLE_FILE,
        STANDARD_INPUT as STANDARD_INPUT,
        named_type as named_type,
        open_spec as open_spec,
        source_type as source_type,
        whole_text as whole_text,
    )
    from retrieval.sources.skipped_list import (
        LASTING as LASTING,
        UNKNOWN as UNKNOWN,
        SkippedFile as SkippedFile,
        count_reasons as count_reasons,
        read_skipped as read_skipped,
        reason_words as reason_words,
        write_skipped as write_skipped,
    )

lazy(__name__)
