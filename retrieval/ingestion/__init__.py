"""Folders and other sources become a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build import build_index as build_index
    from retrieval.ingestion.build_place import (
        SourceLike as SourceLike,
        is_text_of_another as is_text_of_another,
    )
    from retrieval.ingestion.build_sources import (
        choose_sources as choose_sources,
        taken_by_hand as taken_by_hand,
    )
    from retrieval.ingestion.changes import (
        PROTECTED_ROWS as PROTECTED_ROWS,
        StoredFiles as StoredFiles,
        WholeListing as WholeListing,
    )
    from retrieval.ingestion.encoder_choice import DEFAULT_ENCODER as DEFAULT_ENCODER
    from retrieval.ingestion.one_collection import build_one as build_one

lazy(__name__)
