"""Write a collection as one Parquet table: keys, vectors and columns, for other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.display import path_json
from retrieval.render.output import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.collection import Collection

_BLOCK: Final = 16_384
"""Rows that are written together."""


def write_table(path: Path, collection: Collection) -> tuple[int, int]:
    """Write a row for each image: ``key``, ``vector`` (float32) and the columns, in the order of ids; return rows and width.

    A key that is not UTF-8 is percent-encoded. A column that is called ``key``, ``vector`` or ``id`` gets an underscore behind its
    name.

    Raises:
        MissingExtra: pyarrow is not installed.
        OptionError: the encoder is being changed: the vectors are of two spaces.
        StoreFull: no space left; nothing of the file is left.
    """
    table = collection.to_arrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, names = collection.export()
    width = rows.shape[1]
    own = table.column_names[2:]
    schema = pa.schema(
        [
            pa.field("key", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), width)),
            *(table.schema.field(name) for name in own),
        ]
    )
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        for start in range(0, max(len(names), 1), _BLOCK):
            part = table.slice(start, _BLOCK)
            block = np.ascontiguousarray(rows[start : start + _BLOCK], dtype=np.float32)
            arrays: list[Any] = [
                pa.array([path_json(name)["path"] for name in names[start : start + _BLOCK]], pa.string()),
                pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), width),
                *(part.column(name) for name in own),
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return len(names), width


def is_table(path: Path) -> bool:
    """Say whether a file is to be a Parquet table, by its name."""
    return os.path.splitext(path)[1].lower() in (".parquet", ".pq")
