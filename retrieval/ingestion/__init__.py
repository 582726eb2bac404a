"""Folders and other sources become a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build import build_index
    from retrieval.ingestion.encoder_choice import DEFAULT_ENCODER
    from retrieval.ingestion.one_collection import build_one
    from retrieval.ingestion.source_choice import choose_sources
    from retrieval.ingestion.source_keys import taken_by_hand

__all__ = ["DEFAULT_ENCODER", "build_index", "build_one", "choose_sources", "taken_by_hand"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "build": ("build_index",),
            "encoder_choice": ("DEFAULT_ENCODER",),
            "one_collection": ("build_one",),
            "source_choice": ("choose_sources",),
            "source_keys": ("taken_by_hand",),
        },
    )
