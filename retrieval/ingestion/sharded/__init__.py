"""A source becomes a sharded collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.sharded.build import build_shards
    from retrieval.ingestion.sharded.publication import Asked, publish_shards

__all__ = ["Asked", "build_shards", "publish_shards"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(__name__, {"build": ("build_shards",), "publication": ("Asked", "publish_shards")})
