"""A query becomes one unit vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.queries.encoder_check import require_same_encoder, require_same_vectors
    from retrieval.collection.queries.query_vectors import QueryEncoders, combine, understood
    from retrieval.collection.queries.terms import Term, as_terms, image, parse_term, row, subtract, text

__all__ = [
    "QueryEncoders",
    "Term",
    "as_terms",
    "combine",
    "image",
    "parse_term",
    "require_same_encoder",
    "require_same_vectors",
    "row",
    "subtract",
    "text",
    "understood",
]

__getattr__ = lazy(
    __name__,
    {
        "encoder_check": ("require_same_encoder", "require_same_vectors"),
        "query_vectors": ("QueryEncoders", "combine", "understood"),
        "terms": ("Term", "as_terms", "image", "parse_term", "row", "subtract", "text"),
    },
)
