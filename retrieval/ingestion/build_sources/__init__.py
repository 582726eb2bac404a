"""Choose the sources of a build, and remember what each looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build_sources.build_sources import BuildSource, BuildSources
    from retrieval.ingestion.build_sources.source_choice import choose_sources
    from retrieval.ingestion.build_sources.source_keys import (
        refuse_dropping,
        refuse_taken_keys,
        taken_by_hand,
    )
    from retrieval.ingestion.build_sources.source_memories import read_memory, write_memories

__all__ = [
    "BuildSource",
    "BuildSources",
    "choose_sources",
    "read_memory",
    "refuse_dropping",
    "refuse_taken_keys",
    "taken_by_hand",
    "write_memories",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "build_sources": ("BuildSource", "BuildSources"),
            "source_choice": ("choose_sources",),
            "source_keys": ("refuse_dropping", "refuse_taken_keys", "taken_by_hand"),
            "source_memories": ("read_memory", "write_memories"),
        },
    )
