"""Walk folders, and recognise the images in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.folders import folder_memory
    from retrieval.sources.folders.folder import FolderSource
    from retrieval.sources.folders.folder_memory import FolderMemory, digest, holding, remember
    from retrieval.sources.folders.folder_options import FolderOptions
    from retrieval.sources.folders.folder_walk import walk
    from retrieval.sources.folders.listing import (
        FORMATS,
        NOT_FOLLOWED,
        RAW_SUFFIXES,
        SUFFIXES,
        UNSUPPORTED,
        UNSUPPORTED_FORMAT,
        Folder,
        Found,
        Part,
        Seen,
        Skipped,
        SourceEntry,
        has_image_suffix,
        suffix_of,
    )
    from retrieval.sources.folders.selection import RESOURCE_FORK, Selection
    from retrieval.sources.folders.signatures import FIRST_BYTES, recognise

__all__ = [
    "FIRST_BYTES",
    "FORMATS",
    "NOT_FOLLOWED",
    "RAW_SUFFIXES",
    "RESOURCE_FORK",
    "SUFFIXES",
    "UNSUPPORTED",
    "UNSUPPORTED_FORMAT",
    "Folder",
    "FolderMemory",
    "FolderOptions",
    "FolderSource",
    "Found",
    "Part",
    "Seen",
    "Selection",
    "Skipped",
    "SourceEntry",
    "digest",
    "folder_memory",
    "has_image_suffix",
    "holding",
    "recognise",
    "remember",
    "suffix_of",
    "walk",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "folder": ("FolderSource",),
            "folder_memory": ("FolderMemory", "digest", "holding", "remember"),
            "folder_options": ("FolderOptions",),
            "folder_walk": ("walk",),
            "listing": (
                "FORMATS",
                "Folder",
                "Found",
                "NOT_FOLLOWED",
                "RAW_SUFFIXES",
                "SUFFIXES",
                "Part",
                "Seen",
                "Skipped",
                "SourceEntry",
                "UNSUPPORTED",
                "UNSUPPORTED_FORMAT",
                "has_image_suffix",
                "suffix_of",
            ),
            "selection": ("RESOURCE_FORK", "Selection"),
            "signatures": ("FIRST_BYTES", "recognise"),
        },
    )
