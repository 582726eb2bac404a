"""Tables as a place that images come from: parquet, Arrow, Feather, and what `datasets` saves."""

from __future__ import annotations

from retrieval.sources.tables.image_column import (
    ImageColumn as ImageColumn,
    cell_of as cell_of,
    find_image_column as find_image_column,
)
from retrieval.sources.tables.layouts import (
    is_saved_dataset as is_saved_dataset,
    is_table_name as is_table_name,
    tables_in as tables_in,
)
from retrieval.sources.tables.row_window import RowWindow as RowWindow
from retrieval.sources.tables.source import TableSource as TableSource
from retrieval.sources.tables.table_files import TableFile as TableFile, open_table as open_table
