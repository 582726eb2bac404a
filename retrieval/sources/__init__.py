"""Where images come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources import file_marks, folder_memory, keys
    from retrieval.sources.collection_source import (
        MEMORIES,
        CollectionSource,
        memory_of,
        open_recorded,
        open_source,
        spec_of,
    )
    from retrieval.sources.csv_files import csv_lines
    from retrieval.sources.folder import FolderSource
    from retrieval.sources.folder_memory import FolderMemory, digest, holding, remember
    from retrieval.sources.folder_options import FolderOptions
    from retrieval.sources.folder_walk import (
        FORMATS,
        NOT_FOLLOWED,
        UNSUPPORTED_FORMAT,
        Folder,
        Found,
        Seen,
        Skipped,
        has_image_suffix,
        suffix_of,
        walk,
    )
    from retrieval.sources.hashed_keys import DistinctKeys, KeyPlaces
    from retrieval.sources.listing import RAW_SUFFIXES, SUFFIXES, UNSUPPORTED, SourceEntry
    from retrieval.sources.protocol import (
        LONGEST_NAME,
        MOST_COLUMNS,
        ColumnSource,
        ColumnValue,
        CountedSource,
        Entry,
        FileSource,
        Listed,
        ReadAheadSource,
        RememberingSource,
        Source,
        SourceType,
        WatchedColumnSource,
    )
    from retrieval.sources.registry import (
        SINGLE_FILE,
        STANDARD_INPUT,
        named_type,
        open_spec,
        source_type,
        whole_text,
    )
    from retrieval.sources.selection import RESOURCE_FORK, Selection
    from retrieval.sources.signatures import FIRST_BYTES, recognise
    from retrieval.sources.skipped_list import (
        LASTING,
        UNKNOWN,
        SkippedFile,
        count_reasons,
        read_skipped,
        reason_words,
        write_skipped,
    )

__all__ = [
    "FIRST_BYTES",
    "FORMATS",
    "LASTING",
    "LONGEST_NAME",
    "MEMORIES",
    "MOST_COLUMNS",
    "NOT_FOLLOWED",
    "RAW_SUFFIXES",
    "RESOURCE_FORK",
    "SINGLE_FILE",
    "STANDARD_INPUT",
    "SUFFIXES",
    "UNKNOWN",
    "UNSUPPORTED",
    "UNSUPPORTED_FORMAT",
    "CollectionSource",
    "ColumnSource",
    "ColumnValue",
    "CountedSource",
    "DistinctKeys",
    "Entry",
    "FileSource",
    "Folder",
    "FolderMemory",
    "FolderOptions",
    "FolderSource",
    "Found",
    "KeyPlaces",
    "Listed",
    "ReadAheadSource",
    "RememberingSource",
    "Seen",
    "Selection",
    "Skipped",
    "SkippedFile",
    "Source",
    "SourceEntry",
    "SourceType",
    "WatchedColumnSource",
    "count_reasons",
    "csv_lines",
    "digest",
    "file_marks",
    "folder_memory",
    "has_image_suffix",
    "holding",
    "keys",
    "memory_of",
    "named_type",
    "open_recorded",
    "open_source",
    "open_spec",
    "read_skipped",
    "reason_words",
    "recognise",
    "remember",
    "source_type",
    "spec_of",
    "suffix_of",
    "walk",
    "whole_text",
    "write_skipped",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "signatures": ("FIRST_BYTES", "recognise"),
            "hashed_keys": ("DistinctKeys", "KeyPlaces"),
            "file_marks": (),
            "collection_source": (
                "CollectionSource",
                "MEMORIES",
                "memory_of",
                "open_recorded",
                "open_source",
                "spec_of",
            ),
            "csv_files": ("csv_lines",),
            "folder": ("FolderSource",),
            "folder_memory": ("FolderMemory", "digest", "holding", "remember"),
            "folder_options": ("FolderOptions",),
            "folder_walk": (
                "FORMATS",
                "Folder",
                "Found",
                "NOT_FOLLOWED",
                "Seen",
                "Skipped",
                "UNSUPPORTED_FORMAT",
                "has_image_suffix",
                "suffix_of",
                "walk",
            ),
            "keys": (),
            "listing": ("RAW_SUFFIXES", "SUFFIXES", "SourceEntry", "UNSUPPORTED"),
            "protocol": (
                "LONGEST_NAME",
                "MOST_COLUMNS",
                "ColumnSource",
                "ColumnValue",
                "CountedSource",
                "Entry",
                "FileSource",
                "Listed",
                "RememberingSource",
                "Source",
                "SourceType",
                "ReadAheadSource",
                "WatchedColumnSource",
            ),
            "registry": (
                "SINGLE_FILE",
                "STANDARD_INPUT",
                "named_type",
                "open_spec",
                "source_type",
                "whole_text",
            ),
            "selection": ("RESOURCE_FORK", "Selection"),
            "skipped_list": (
                "LASTING",
                "SkippedFile",
                "UNKNOWN",
                "count_reasons",
                "read_skipped",
                "reason_words",
                "write_skipped",
            ),
        },
    )
