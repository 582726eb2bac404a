"""Find the rows for which a condition over their columns holds, with DuckDB over the mapped table of a generation.

The condition is checked before it runs (`conditions`). The engine besides has no way to files, the network or its settings,
and a bound on its memory and time.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes import forks
from indexes.distribution import pip_install
from retrieval.columns.column_table import (
    batches,
    column_types,
    in_small_chunks,
    require_pyarrow,
    schema_of,
    types_in,
)
from retrieval.columns.columns_file import published_table
from retrieval.columns.conditions import ROW_ID, ROWS, query_of
from retrieval.columns.headers import HEADER_TYPES
from retrieval.errors import MissingExtra, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore
    from indexes.vectors import Ids

MEMORY: Final = "512MB"
"""Memory of the engine, besides the mapped table."""

SECONDS: Final = 10.0
"""Time that a condition may take."""

_THREADS: Final = 4
_KEPT: Final = 8
_KEPT_ROWS: Final = 500_000
_DEPTH: Final = 100  # of nested expressions
_CHUNK_BYTES: Final = 1 << 18
"""Bytes of text that the engine takes at a time: what its functions make of these is not counted as its memory."""

_LONGEST_WORD: Final = 128
"""Bytes of texts that are kept as a dictionary: its functions' results are held for each row."""

_FEW_WORDS: Final = 2  # texts of which each comes so often, on average, are kept as a dictionary
_SAMPLE: Final = 10_000


_ASKS: Final = "a condition over columns"
"""What needs the packages, for messages."""

_OWN_NAME: Final = re.compile(r'"(c\d+)"|(?<=source column )(c\d+)\b')
"""The engine's name of a column in its messages."""

_PARENTS: Final[list[Any]] = []


class ColumnFilter:
    """The columns of the rows of one manifest, opened when they are first asked; safe to share among threads.

    Args:
        directory: the collection's.
        manifest: what is shown.
        store: its rows, open.
    """

    def __init__(self, directory: Path, manifest: Manifest, store: VectorStore) -> None:
        self._directory, self._manifest, self._store = directory, manifest, store
        self._lock = forks.Lock()
        self._table: Any = None
        self._types: dict[str, str] = {}
        self._engine: Any = None
        self._answers: OrderedDict[str, Ids] = OrderedDict()
        forks.after_fork(self, ColumnFilter._forget_engine)

    def types(self) -> dict[str, str]:
        """Return the types of the columns by their names, without any package."""
        columns = self._manifest.columns
        if columns is None:
            return {}
        return dict(sorted(column_types(self._store.scan_columns(columns.rows), columns.types).items()))

    def table(self) -> Any:
        """Return the columns of all rows as an Arrow table of `schema_of`, and their types.

        Raises:
            MissingExtra: pyarrow is not installed.
            StoreCorrupt: the table or the store is damaged.
        """
        with self._lock:
            self._open()
            return self._table, self._types

    def rows(self, condition: str, *, elsewhere: Mapping[str, str] = MappingProxyType({})) -> Ids:
        """Return the ids ``(m,)`` of the rows for which a condition holds, ascending, tombstoned ones too.

        The last few answers are kept: a page after the first asks the same once more.

        Args:
            condition: a boolean expression over the columns, in SQL.
            elsewhere: types of columns that rows of other shards have; none here has a value of those that it has not.
        Raises:
            OptionError: it is no such expression, cannot be computed, or takes too long.
            MissingExtra: DuckDB or pyarrow is not installed.
            StoreCorrupt: the table or the store is damaged.
        """
        if not isinstance(condition, str):
            raise OptionError(
                f"where is {type(condition).__name__}; it must be a text, or one truth value a row"
            )
        with self._lock:
            if condition in self._answers:
                self._answers.move_to_end(condition)
                return self._answers[condition]
        found = self._ask(condition, elsewhere)
        found.setflags(write=False)
        if len(found) <= _KEPT_ROWS:
            with self._lock:
                self._answers[condition] = found
                while len(self._answers) > _KEPT:
                    self._answers.popitem(last=False)
        return found

    def _ask(self, condition: str, elsewhere: Mapping[str, str]) -> Ids:
        """Let the engine find the rows."""
        duckdb = _require_duckdb()
        with self._lock:
            self._open()
            engine = self._connect(duckdb)
        cursor = engine.cursor()
        timer = threading.Timer(SECONDS, _interrupt, [cursor])
        timer.daemon = True
        timer.start()
        try:
            names = {name: f"c{place}" for place, name in enumerate(sorted(self._types))}
            table = self._with_unsaid(names, condition, elsewhere)
            query = query_of(condition, names, lambda call, text: _value(cursor, call, text))
            cursor.register(ROWS, table)
            found = cursor.execute(query).fetchnumpy()[ROW_ID]
        except duckdb.InterruptException as error:
            raise OptionError(f"where took over {SECONDS:.0f} seconds; ask for less") from error
        except duckdb.OutOfMemoryException as error:
            raise OptionError(f"where needs more than {MEMORY} of memory; ask for less") from error
        except duckdb.ConversionException as error:
            what = f"{_said(error, names)}; TRY_CAST gives no value in place of an error"
            raise OptionError(f"where cannot be computed: {what}") from error
        except duckdb.Error as error:
            raise OptionError(f"where cannot be computed: {_said(error, names)}") from error
        finally:
            timer.cancel()
            cursor.close()
        return np.sort(np.asarray(found, dtype=np.int64))

    def _with_unsaid(self, names: dict[str, str], condition: str, elsewhere: Mapping[str, str]) -> Any:
        """Return the table; with what files may say and none does, if a condition names it: no row has a value."""
        table, columns = self._table, self._manifest.columns
        may_have = dict(elsewhere)
        if columns is not None and columns.headers:
            may_have |= HEADER_TYPES
        said = {name.casefold() for name in names}
        for name, kind in may_have.items():
            if name.casefold() not in said and name.casefold() in condition.casefold():
                names[name] = f"c{len(names)}"
                (field,) = schema_of({name: kind})
                table = table.append_column(names[name], require_pyarrow(_ASKS).nulls(len(table), field.type))
        return table

    def close(self) -> None:
        """Let go of the table and the engine."""
        with self._lock:
            self._table = None
            self._answers.clear()
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _forget_engine(self) -> None:
        """Leave the engine to the parent; a child makes its own."""
        if self._engine is not None:
            _PARENTS.append(
                self._engine
            )  # never ended here: it would wait for threads that the child does not have
            self._engine = None

    def _open(self) -> None:
        """Map the generation's table, and add the rows behind it from the store."""
        if self._table is not None:
            return
        pa = require_pyarrow(_ASKS)
        published = published_table(self._directory, self._manifest)
        count = self._manifest.count
        first, known = (0, {}) if published is None else (published.num_rows, types_in(published.schema))
        types = column_types(self._store.scan_columns(first), known)
        if published is not None and types != known:  # recent rows have other types of values
            first, published = 0, None
        parts = [] if published is None else [published]
        if first < count:
            parts.append(pa.Table.from_batches(batches(self._store, types, first, count), schema_of(types)))
        named = pa.table({ROW_ID: np.arange(count, dtype=np.int64)})
        if types and parts:
            table = pa.concat_tables(parts).slice(0, count)
            for place in range(len(types)):
                named = named.append_column(f"c{place}", _compact(pa, table.column(place)))
        self._types, self._table = types, in_small_chunks(named, most_bytes=_CHUNK_BYTES)

    def _connect(self, duckdb: Any) -> Any:
        if self._engine is None:
            from indexes.engine import allowed_cores

            self._engine = duckdb.connect(
                ":memory:",
                config={
                    "threads": str(min(_THREADS, allowed_cores())),
                    "memory_limit": MEMORY,
                    "max_expression_depth": str(_DEPTH),
                    "enable_external_access": "false",
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "allow_community_extensions": "false",
                    "python_enable_replacements": "false",
                    "preserve_insertion_order": "false",
                    "temp_directory": "",
                    "lock_configuration": "true",
                },
            )
        return self._engine


def _interrupt(cursor: Any) -> None:
    with suppress(Exception):  # it was closed at this very moment
        cursor.interrupt()


def _require_duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtra(
            f"{_ASKS} needs duckdb, which is not installed: {pip_install('tables')}"
        ) from error
    return duckdb


def _compact(pa: Any, column: Any) -> Any:
    """Return texts that come again and again as a dictionary, which is compared once for all rows."""
    if not pa.types.is_string(column.type) or not len(column):
        return column
    sample = column.slice(0, _SAMPLE)
    if len(sample.unique()) * _FEW_WORDS > len(sample) - sample.null_count:
        return column
    encoded = column.dictionary_encode()
    words = encoded.chunk(0).dictionary  # of all chunks
    import pyarrow.compute as pc

    longest = pc.max(pc.binary_length(words)).as_py() or 0
    return encoded if words.nbytes <= _CHUNK_BYTES and longest <= _LONGEST_WORD else column


def _value(cursor: Any, call: str, text: str) -> Any:
    """Evaluate a function of one text."""
    return cursor.execute(f"SELECT {call}", [text]).fetchall()[0][0]


def _said(error: Exception, names: dict[str, str]) -> str:
    """Return the engine's first line, with people's names of the columns."""
    line = str(error).strip().partition("\n")[0].removesuffix("!")
    shown = {own: name for name, own in names.items()}
    return _OWN_NAME.sub(lambda found: shown.get(found[1] or found[2], found[0]), line)
