"""Write the table of columns of a generation, which conditions read: the rows of the one before are taken over."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from indexes.files import link_or_copy
from indexes.generation import TABLE, check_file, generation_path
from retrieval.columns.column_table import batches, column_types, require_pyarrow, schema_of, types_in
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Columns, Manifest
    from indexes.store import VectorStore


class ColumnsFile:
    """The table of columns, as `indexes.derivation.DerivedFile` has it; none where no row has any, or pyarrow is missing.

    Where there is none, `retrieval.columns.ColumnFilter` reads the store.

    Args:
        columns: what the manifest is to say of the columns, if that is known: their types are then not told anew.
    """

    def __init__(self, columns: Columns | None = None) -> None:
        self._columns = columns

    def write(self, prepared: Path, *, home: Path, store: VectorStore, before: Manifest | None) -> None:
        """Write `TABLE` for all rows of the store."""
        if find_spec("pyarrow") is None:
            return
        path = prepared / TABLE
        kept = None if before is None else _usable(home, before, store)
        if kept is not None and before is not None and kept.num_rows == store.count:
            link_or_copy(generation_path(home, before.generation) / TABLE, path)
            return
        known = {} if kept is None else types_in(kept.schema)
        first = 0 if kept is None else kept.num_rows
        types = self._types(store) or column_types(store.scan_columns(first), known)
        if types != known:  # older rows' values have other types by now
            kept, first = None, 0
        if not types:
            return
        import pyarrow as pa

        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema_of(types)) as writer:
            if kept is not None:
                writer.write_table(kept)
            for batch in batches(store, types, first, store.count):
                writer.write_batch(batch)

    def _types(self, store: VectorStore) -> dict[str, str]:
        """Return the types that were told already; none where they are those of other rows."""
        told = self._columns
        same = told is not None and (told.rows, told.changes) == (store.count, store.column_changes)
        return dict(told.types) if told is not None and same else {}

    def is_current(self, home: Path, *, store: VectorStore, before: Manifest) -> bool:  # noqa: ARG002 - a protocol's
        """Say whether a build would change nothing of it."""
        columns = before.columns
        if columns is None or find_spec("pyarrow") is None:
            return True
        written = TABLE in before.files or not columns.types
        return written and columns.changes == store.column_changes


def published_table(directory: Path, manifest: Manifest) -> Any:
    """Return the mapped table of a generation's columns, one row for each of its first rows; None if it has none.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreCorrupt: it is not what was published.
    """
    if TABLE not in manifest.files:
        return None
    pa = require_pyarrow("a condition over columns")
    check_file(directory, manifest, TABLE)
    path = generation_path(directory, manifest.generation) / TABLE
    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        table.validate(full=True)
        types_in(table.schema)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise StoreCorrupt(
            f"{path}: not a table of columns ({str(error).partition(chr(10))[0]}); run `verify`"
        ) from error
    return table


def _usable(home: Path, before: Manifest, store: VectorStore) -> Any:
    """Return the published table if it says of its rows what the store does."""
    columns = before.columns
    if columns is None or columns.changes != store.column_changes:
        return None
    try:
        table = published_table(home, before)
    except (StoreCorrupt, OSError):
        return None
    return table if table is not None and table.num_rows <= store.count else None
