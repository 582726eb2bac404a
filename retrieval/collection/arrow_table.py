"""Make an Arrow table of a collection's rows: ids, keys and columns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrieval.display import path_json

if TYPE_CHECKING:
    from retrieval.collection.snapshots import Opened

_OWN = ("id", "key", "vector")


def arrow_table(opened: Opened) -> Any:
    """Return ``id``, ``key`` and the columns of all live rows, in the order of ids.

    A column that is called so, or ``vector``, gets an underscore behind its name.
    """
    table, types = opened.columns.table()
    import pyarrow as pa

    live = opened.live_ids()
    names = [path_json(os.fsdecode(record.key))["path"] for record in opened.store.records(live)]
    table = table if len(live) == len(table) else table.take(pa.array(live))
    columns = [pa.array(live), pa.array(names, pa.string()), *table.columns[1:]]
    return pa.Table.from_arrays(columns, names=["id", "key", *_names(sorted(types))])


def _names(columns: list[str]) -> list[str]:
    """Return names of columns that no other column has."""
    taken = {"id", "key", "vector", *columns}
    names = []
    for name in columns:
        free = name
        while name in _OWN and free in taken:
            free += "_"
        taken.add(free)
        names.append(free)
    return names
