"""Write the rows of a collection: open it for writing, store vectors, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.build_report import BuildReport
    from retrieval.collection.rows.from_vectors import build_index_from_vectors
    from retrieval.collection.rows.growth import BothSpaces, Growing, carried, plain
    from retrieval.collection.rows.writable import check_request, learn_rotation, locked, opened, published

__all__ = [
    "BothSpaces",
    "BuildReport",
    "Growing",
    "build_index_from_vectors",
    "carried",
    "check_request",
    "learn_rotation",
    "locked",
    "opened",
    "plain",
    "published",
]

__getattr__ = lazy(
    __name__,
    {
        "build_report": ("BuildReport",),
        "from_vectors": ("build_index_from_vectors",),
        "growth": ("BothSpaces", "Growing", "carried", "plain"),
        "writable": ("check_request", "learn_rotation", "locked", "opened", "published"),
    },
)
