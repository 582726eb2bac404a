"""Tables as a place that images come from: parquet, Arrow, Feather, and what `datasets` saves."""

from __future__ import annotations

from retrieval.sources.tables.image_column import ImageColumn, cell_of, find_image_column
from retrieval.sources.tables.layouts import is_saved_dataset, is_table_name, tables_in
from retrieval.sources.tables.row_window import RowWindow
from retrieval.sources.tables.source import TableSource
from retrieval.sources.tables.table_files import TableFile, open_table

__all__ = [
    "ImageColumn",
    "RowWindow",
    "TableFile",
    "TableSource",
    "cell_of",
    "find_image_column",
    "is_saved_dataset",
    "is_table_name",
    "open_table",
    "tables_in",
]
