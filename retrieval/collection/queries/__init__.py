"""A query becomes one unit vector, and filters become rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.queries.encoder_check import (
        LOOKED_AT as LOOKED_AT,
        require_same_encoder as require_same_encoder,
        require_same_vectors as require_same_vectors,
    )
    from retrieval.collection.queries.filters import (
        RowFilter as RowFilter,
        passing_rows as passing_rows,
        row_filter as row_filter,
    )
    from retrieval.collection.queries.inputs import (
        QueryLike as QueryLike,
        Single as Single,
        as_batch as as_batch,
        as_minus as as_minus,
        as_query as as_query,
    )
    from retrieval.collection.queries.part_vectors import open_picture as open_picture
    from retrieval.collection.queries.query_encoders import QueryEncoders as QueryEncoders
    from retrieval.collection.queries.query_vectors import (
        ONE_QUERYS as ONE_QUERYS,
        QueryVector as QueryVector,
        encode_queries as encode_queries,
        encode_query as encode_query,
        require_whole_row as require_whole_row,
    )
    from retrieval.collection.queries.regions import (
        Cut as Cut,
        Region as Region,
        as_region as as_region,
        cut_out as cut_out,
    )
    from retrieval.collection.queries.row_lookup import (
        RowName as RowName,
        RowNames as RowNames,
        is_key as is_key,
        live_id as live_id,
        live_ids as live_ids,
        row_numbers as row_numbers,
    )
    from retrieval.collection.queries.terms import (
        Query as Query,
        Term as Term,
        image as image,
        row as row,
        text as text,
        total as total,
        vector as vector,
    )
    from retrieval.collection.queries.typed_words import parse_query as parse_query
    from retrieval.collection.queries.values import (
        ArrayLike as ArrayLike,
        as_array as as_array,
        is_number as is_number,
    )

lazy(__name__)
