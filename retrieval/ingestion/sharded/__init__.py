"""A source becomes a sharded collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.sharded.build import build_shards as build_shards

lazy(__name__)
