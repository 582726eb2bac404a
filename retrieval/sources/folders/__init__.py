"""Walk folders, and recognise the images in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.folders import folder_memory as folder_memory
    from retrieval.sources.folders.folder import FolderSource as FolderSource
    from retrieval.sources.folders.folder_memory import (
        FolderMemory as FolderMemory,
        digest as digest,
        holding as holding,
        remember as remember,
    )
    from retrieval.sources.folders.folder_options import FolderOptions as FolderOptions
    from retrieval.sources.folders.folder_walk import walk as walk
    from retrieval.sources.folders.listing import (
        FORMATS as FORMATS,
        NOT_FOLLOWED as NOT_FOLLOWED,
        RAW_SUFFIXES as RAW_SUFFIXES,
        SUFFIXES as SUFFIXES,
        UNSUPPORTED as UNSUPPORTED,
        UNSUPPORTED_FORMAT as UNSUPPORTED_FORMAT,
        Folder as Folder,
        Found as Found,
        Part as Part,
        Seen as Seen,
        Skipped as Skipped,
        SourceEntry as SourceEntry,
        has_image_suffix as has_image_suffix,
        suffix_of as suffix_of,
    )
    from retrieval.sources.folders.selection import RESOURCE_FORK as RESOURCE_FORK, Selection as Selection
    from retrieval.sources.folders.signatures import FIRST_BYTES as FIRST_BYTES, recognise as recognise

lazy(__name__)
