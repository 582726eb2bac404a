"""What is known of an image besides its vector: columns, stored beside the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.columns.column_filter import ColumnFilter
    from retrieval.columns.column_summary import summary
    from retrieval.columns.columns_file import ColumnsFile
    from retrieval.columns.headers import HEADERS, header_columns, read_header
    from retrieval.columns.packing import (
        ColumnsLike,
        Value,
        own_columns,
        pack,
        packed_columns,
        parts,
        text_of,
        unpack,
    )
else:
    __getattr__ = lazy(
        __name__,
        {
            "column_filter": ("ColumnFilter",),
            "columns_file": ("ColumnsFile",),
            "headers": ("HEADERS", "header_columns", "read_header"),
            "packing": (
                "ColumnsLike",
                "Value",
                "own_columns",
                "pack",
                "packed_columns",
                "parts",
                "text_of",
                "unpack",
            ),
            "column_summary": ("summary",),
        },
    )

__all__ = [
    "HEADERS",
    "ColumnFilter",
    "ColumnsFile",
    "ColumnsLike",
    "Value",
    "header_columns",
    "own_columns",
    "pack",
    "packed_columns",
    "parts",
    "read_header",
    "summary",
    "text_of",
    "unpack",
]
