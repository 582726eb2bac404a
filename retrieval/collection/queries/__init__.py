"""A query becomes one unit vector, and filters become rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.queries.encoder_check import (
        LOOKED_AT,
        require_same_encoder,
        require_same_vectors,
    )
    from retrieval.collection.queries.filters import RowFilter, passing_rows, row_filter
    from retrieval.collection.queries.inputs import QueryLike, Single, as_batch, as_minus, as_query
    from retrieval.collection.queries.part_vectors import open_picture
    from retrieval.collection.queries.query_encoders import QueryEncoders
    from retrieval.collection.queries.query_vectors import (
        ONE_QUERYS,
        QueryVector,
        encode_queries,
        encode_query,
    )
    from retrieval.collection.queries.regions import Cut, Region, as_region, cut_out
    from retrieval.collection.queries.row_lookup import (
        RowName,
        RowNames,
        is_key,
        live_id,
        live_ids,
        row_numbers,
    )
    from retrieval.collection.queries.terms import Query, Term, image, row, text, total, vector
    from retrieval.collection.queries.typed_words import parse_query
    from retrieval.collection.queries.values import ArrayLike, as_array, is_number

__all__ = [
    "LOOKED_AT",
    "ONE_QUERYS",
    "ArrayLike",
    "Cut",
    "Query",
    "QueryEncoders",
    "QueryLike",
    "QueryVector",
    "Region",
    "RowFilter",
    "RowName",
    "RowNames",
    "Single",
    "Term",
    "as_array",
    "as_batch",
    "as_minus",
    "as_query",
    "as_region",
    "cut_out",
    "encode_queries",
    "encode_query",
    "image",
    "is_key",
    "is_number",
    "live_id",
    "live_ids",
    "open_picture",
    "parse_query",
    "passing_rows",
    "require_same_encoder",
    "require_same_vectors",
    "row",
    "row_filter",
    "row_numbers",
    "text",
    "total",
    "vector",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "encoder_check": ("LOOKED_AT", "require_same_encoder", "require_same_vectors"),
            "filters": ("RowFilter", "passing_rows", "row_filter"),
            "inputs": ("QueryLike", "Single", "as_batch", "as_minus", "as_query"),
            "part_vectors": ("open_picture",),
            "query_encoders": ("QueryEncoders",),
            "query_vectors": ("ONE_QUERYS", "QueryVector", "encode_queries", "encode_query"),
            "regions": ("Cut", "Region", "as_region", "cut_out"),
            "row_lookup": ("RowName", "RowNames", "is_key", "live_id", "live_ids", "row_numbers"),
            "terms": ("Query", "Term", "image", "row", "text", "total", "vector"),
            "typed_words": ("parse_query",),
            "values": ("ArrayLike", "as_array", "is_number"),
        },
    )
