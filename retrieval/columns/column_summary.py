"""Sum up the columns of a collection for its manifest: which there are, and their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.generation import Columns
from retrieval.columns.column_table import column_types

if TYPE_CHECKING:
    from indexes.store import VectorStore


def summary(store: VectorStore, before: Columns | None, *, headers: int) -> Columns | None:
    """Return what the manifest is to say of the columns of a store; None where there are none.

    What it costs depends on the rows since, unless columns of older rows have changed.

    Args:
        store: every change committed.
        before: what the published manifest says.
        headers: what of every image's file has been read, see `retrieval.columns.headers.HEADERS`.
    """
    changes = store.column_changes
    same = before is not None and before.changes == changes and before.rows <= store.count
    types = dict(before.types) if before is not None and same else {}
    first = before.rows if before is not None and same else 0
    types = column_types(store.scan_columns(first), types)
    if before is None and not types and not headers:
        return None
    return Columns(headers=headers, types=types, rows=store.count, changes=changes)
