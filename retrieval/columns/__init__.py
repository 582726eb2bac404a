"""What is known of an image besides its vector: columns, stored beside the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.columns.column_filter import ColumnFilter as ColumnFilter
    from retrieval.columns.column_summary import summary as summary
    from retrieval.columns.columns_file import ColumnsFile as ColumnsFile
    from retrieval.columns.headers import (
        HEADERS as HEADERS,
        header_columns as header_columns,
        read_header as read_header,
    )
    from retrieval.columns.packing import (
        ColumnsLike as ColumnsLike,
        Value as Value,
        own_columns as own_columns,
        pack as pack,
        packed_columns as packed_columns,
        parts as parts,
        text_of as text_of,
        unpack as unpack,
    )

lazy(__name__)
