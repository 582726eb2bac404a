"""Make a table of columns, as Arrow has it, from what the store keeps of each row."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.distribution import pip_install
from retrieval.columns.packing import parts
from retrieval.columns.types import BOOLEAN, INTEGER, NUMBER, TEXT, TIME, widen
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    from indexes.store import VectorStore

_BATCH: Final = 65_536
"""Rows of a batch: what is held as Python's objects at once."""

_KEY: Final = b"columns"

_VECTOR: Final = 2_048
"""Rows that the engine takes at a time, at most."""


def require_pyarrow(what: str) -> Any:
    """Import pyarrow.

    Args:
        what: needs it, for the message.
    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra(
            f"{what} needs pyarrow, which is not installed: {pip_install('tables')}"
        ) from error
    return pa


def column_types(rows: Iterable[tuple[int, bytes]], known: Mapping[str, str]) -> dict[str, str]:
    """Return the types of all columns, those of some more rows among them."""
    types = dict(known)
    for _, data in rows:
        header, own = parts(data)
        widen(types, header | own if own else header)
    return types


def schema_of(types: Mapping[str, str]) -> Any:
    """Return the schema of a table of columns, sorted by name; their names and types stand in its metadata.

    Its own names of the columns are ``c0``, ``c1`` …: people's names may differ in nothing that an engine tells apart.
    """
    pa = require_pyarrow("a table of columns")
    kinds = {
        TEXT: pa.string(),
        INTEGER: pa.int64(),
        NUMBER: pa.float64(),
        BOOLEAN: pa.bool_(),
        TIME: pa.timestamp("us"),
    }
    listed = sorted(types.items())
    fields = [pa.field(f"c{place}", kinds[kind]) for place, (_, kind) in enumerate(listed)]
    return pa.schema(fields, metadata={_KEY: json.dumps(listed)})


def types_in(schema: Any) -> dict[str, str]:
    """Return the types of the columns of a table that has a schema as `schema_of` makes it.

    Raises:
        ValueError: it has none.
    """
    listed = json.loads((schema.metadata or {}).get(_KEY, b"null"))
    if not isinstance(listed, list) or len(listed) != len(schema.names):
        raise ValueError("its columns have no names")
    return dict(listed)


def batches(store: VectorStore, types: Mapping[str, str], start: int, stop: int) -> Iterator[Any]:
    """Yield the columns of rows from ``start`` to ``stop`` as record batches of `schema_of`, one row each, in order."""
    pa = require_pyarrow("a table of columns")
    schema = schema_of(types)
    names = sorted(types)
    rows = store.scan_columns(start)
    number, data = next(rows, (stop, b""))
    for first in range(start, stop, _BATCH):
        count = min(_BATCH, stop - first)
        values: list[list[Any]] = [[None] * count for _ in names]
        lists = dict(zip(names, values, strict=True))
        while number < first + count:
            place = number - first
            for part in parts(data):  # the source's values come last
                for name, value in part.items():
                    lists[name][place] = value
            number, data = next(rows, (stop, b""))
        arrays = [
            _array(pa, lists[name], types[name], field.type)
            for name, field in zip(names, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema) if names else _empty(pa, schema, count)


def in_small_chunks(table: Any, *, most_bytes: int) -> Any:
    """Return a table whose chunks hold few bytes of text each, where long texts would make one large; nothing is copied.

    Args:
        table: some of its columns are texts.
        most_bytes: of all texts of a chunk together; a row that has more is a chunk alone.
    """
    pa = require_pyarrow("a table of columns")
    import pyarrow.compute as pc

    sizes = np.zeros(table.num_rows, dtype=np.int64)  # (n,)
    for column in table.columns:
        if pa.types.is_string(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    ends = np.concatenate([[0], np.cumsum(sizes)])  # (n + 1,)
    rows = table.num_rows
    firsts = np.arange(0, rows, _VECTOR)
    if (ends[np.minimum(firsts + _VECTOR, rows)] - ends[firsts]).max(initial=0) <= most_bytes:
        return table
    cuts = [0]
    while cuts[-1] < rows:
        start = cuts[-1]
        stop = int(np.searchsorted(ends, ends[start] + most_bytes, side="right")) - 1
        cuts.append(min(max(stop, start + 1), start + _VECTOR, rows))
    return pa.concat_tables(table.slice(first, last - first) for first, last in pairwise(cuts))


def _empty(pa: ModuleType, schema: Any, count: int) -> Any:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([]))).replace_schema_metadata(
        schema.metadata
    )


def _array(pa: Any, values: list[Any], kind: str, form: Any) -> Any:
    """Return values as an array of the column's type."""
    if kind == TIME:
        return pa.array(values, pa.string()).cast(form)
    if kind == NUMBER:
        values = [value if value is None else float(value) for value in values]
    elif kind == TEXT:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(values, form)
