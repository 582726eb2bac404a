"""Folders and other sources become a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build import build_index
    from retrieval.ingestion.build_place import SourceLike, is_text_of_another
    from retrieval.ingestion.build_sources import choose_sources, taken_by_hand
    from retrieval.ingestion.changes import PROTECTED_ROWS, StoredFiles
    from retrieval.ingestion.encoder_choice import DEFAULT_ENCODER
    from retrieval.ingestion.one_collection import build_one

__all__ = [
    "DEFAULT_ENCODER",
    "PROTECTED_ROWS",
    "SourceLike",
    "StoredFiles",
    "build_index",
    "build_one",
    "choose_sources",
    "is_text_of_another",
    "taken_by_hand",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "build": ("build_index",),
            "build_place": ("SourceLike", "is_text_of_another"),
            "build_sources": ("choose_sources", "taken_by_hand"),
            "changes": ("PROTECTED_ROWS", "StoredFiles"),
            "encoder_choice": ("DEFAULT_ENCODER",),
            "one_collection": ("build_one",),
        },
    )
