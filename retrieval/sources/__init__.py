"""Where images come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources import folder_memory, keys
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
    from retrieval.sources.protocol import Entry, Listed, Source, open_source
    from retrieval.sources.selection import Selection
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
    "FORMATS",
    "LASTING",
    "NOT_FOLLOWED",
    "UNKNOWN",
    "UNSUPPORTED_FORMAT",
    "Entry",
    "Folder",
    "FolderMemory",
    "FolderOptions",
    "FolderSource",
    "Found",
    "Listed",
    "Seen",
    "Selection",
    "Skipped",
    "SkippedFile",
    "Source",
    "count_reasons",
    "csv_lines",
    "digest",
    "folder_memory",
    "has_image_suffix",
    "holding",
    "keys",
    "open_source",
    "read_skipped",
    "reason_words",
    "remember",
    "suffix_of",
    "walk",
    "write_skipped",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
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
            "protocol": ("Entry", "Listed", "Source", "open_source"),
            "selection": ("Selection",),
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
