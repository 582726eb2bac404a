"""A folder becomes a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build import build_index
    from retrieval.ingestion.encode import cores, embed
    from retrieval.ingestion.from_vectors import build_index_from_vectors
    from retrieval.ingestion.report import BuildReport, OnProgress, Progress

__all__ = [
    "BuildReport",
    "OnProgress",
    "Progress",
    "build_index",
    "build_index_from_vectors",
    "cores",
    "embed",
]

__getattr__ = lazy(
    __name__,
    {
        "build": ("build_index",),
        "encode": ("cores", "embed"),
        "from_vectors": ("build_index_from_vectors",),
        "report": ("BuildReport", "OnProgress", "Progress"),
    },
)
