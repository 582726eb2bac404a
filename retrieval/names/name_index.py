"""Keep which rows have which words in an SQLite file with an FTS5 table, and look them up.

The table holds a document a row and nothing but postings: no texts, no positions. A document is only ever added. A row whose
name changed gets another document, with a number from `_FURTHER` on, and *moved* says which row it is of; what it was called
before still finds it, so whoever looks up compares the hits with the records. Words that very many rows have stand in *common*
with their number of rows, since counting them takes long. *digests* has a number a row of what was indexed besides its key,
so that a later build sees which rows have changed.
"""

from __future__ import annotations

import errno
import os
import weakref
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from indexes import forks
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Ids

COMMON: Final = 1_024
"""Rows from which on a word is common: not all of its rows are looked at."""

FORMAT: Final = 1

_FURTHER: Final = 1 << 40
_MAPPED: Final = 1 << 40  # bytes at most; SQLite caps it by what it was built for

_TABLES = """
CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, columnsize=0, tokenize='ascii');
CREATE TABLE moved(document INTEGER PRIMARY KEY, row INTEGER NOT NULL);
CREATE TABLE common(word TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE digests(data BLOB NOT NULL);
CREATE TABLE facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_abandoned: list[sqlite3.Connection] = []
"""Connections that a fork left in the child: closing one might wait for a thread that stayed with the parent."""


@cache
def has_fts5() -> bool:
    """Say whether this Python's SQLite has the extension FTS5; nearly every one has."""
    import sqlite3

    try:
        with _closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    except sqlite3.Error:
        return False
    return True


class NameIndex(forks.Unshared):
    """Which rows have which words; safe to share among threads. A forked child calls `abandon` and opens another.

    Attributes:
        facts: what was written with it: ``count``, how many rows it tells of, and what else `add` was given.
        moved: ``(m,)`` rows whose names have changed, one a document.
    """

    def __init__(self, path: Path | None = None, *, writable: bool = False) -> None:
        """Open the file at ``path``, or make an index in memory where there is none.

        Args:
            path: the file; an empty one is made ``writable`` if there is none.
            writable: for `add`, by one thread; otherwise nothing may change the file while it is open.
        Raises:
            StoreCorrupt: it is no such file.
        """
        self._path, self._writable = path, writable or path is None
        self._lock = forks.Lock()
        new = path is None or (writable and not path.exists())
        self._database = self._connected()
        # One that nobody closes is closed when it is collected; at exit threads may still be reading.
        self._closing = weakref.finalize(self, self._database.close)
        self._closing.atexit = False
        with self._errors():
            if new:
                self._database.executescript(_TABLES)
                self._set({"format": FORMAT, "count": 0})
            self.facts: dict[str, int] = dict(self._database.execute("SELECT name, value FROM facts"))
            self._read_moved()
        if self.facts.get("format") != FORMAT:
            raise StoreCorrupt(
                f"{path}: not an index of names of this version; run `build_index` on the folder"
            )

    def __len__(self) -> int:
        """Return how many rows it tells of."""
        return self.facts["count"]

    def _read_moved(self) -> None:
        found = self._database.execute("SELECT row FROM moved ORDER BY document").fetchall()
        self.moved: Ids = np.array(found, dtype=np.int64).reshape(-1)

    # Writing

    def add(
        self,
        texts: Iterable[Sequence[str]],
        *,
        changed: Iterable[tuple[int, Sequence[str]]] = (),
        facts: dict[str, int] | None = None,
        digests: NDArray[np.uint32] | None = None,
    ) -> None:
        """Add the words of the rows that follow, and new words of rows that are there.

        Args:
            texts: for each row its words.
            changed: ids of rows that it tells of already, with their words now.
            facts: kept beside ``count``.
            digests: ``(n,)`` of all rows there will be, kept in place of those before; None keeps none.
        Raises:
            OSError: the file cannot be written.
        """
        with self._lock, self._errors():
            database, first = self._database, len(self)
            database.execute("BEGIN")
            documents = ((row, " ".join(words)) for row, words in enumerate(texts, first))
            added = database.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", documents).rowcount
            for document, (row, words) in enumerate(changed, _FURTHER + len(self.moved)):
                database.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (document, " ".join(words)))
                database.execute("INSERT INTO moved VALUES (?, ?)", (document, row))
            self._set({**(facts or {}), "count": first + max(added, 0)})
            database.execute("DELETE FROM digests")
            if digests is not None:
                database.execute("INSERT INTO digests VALUES (?)", (digests.astype("<u4").tobytes(),))
            if first == 0 and self._path is not None:
                database.execute("INSERT INTO words(words) VALUES ('optimize')")
            self._count_common()
            database.execute("COMMIT")
            self.facts = dict(database.execute("SELECT name, value FROM facts"))
            self._read_moved()

    def _set(self, facts: dict[str, int]) -> None:
        self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", sorted(facts.items()))

    def _count_common(self) -> None:
        database = self._database
        database.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, words, row)"
        )
        database.execute("DELETE FROM common")
        database.execute(
            "INSERT INTO common SELECT term, doc FROM temp.vocabulary WHERE doc > ? ORDER BY term", (COMMON,)
        )

    # Reading

    def rows(self, words: Sequence[str], *, limit: int | None = None) -> Ids:
        """Return the ids of rows that have all of some words, ascending, or had them before their name changed.

        Args:
            words: folded, as `retrieval.names.words` makes them.
            limit: how many documents are looked at; None for all.
        """
        asked = " AND ".join(map(_quoted, words))
        return self._matches(asked, limit)

    def rows_with_any(self, groups: Iterable[Sequence[str]], *, and_all: Sequence[str]) -> Ids:
        """Return the ids of rows that have all words of one group at least, and all words of ``and_all``."""
        any_of = " OR ".join("(" + " AND ".join(map(_quoted, words)) + ")" for words in groups)
        return self._matches(f"({any_of}) AND {' AND '.join(map(_quoted, and_all))}", None)

    def digests(self) -> NDArray[np.uint32]:
        """Return a number for each row that `add` was given, ``(n,)``; zeros where it was given none."""
        with self._lock, self._errors():
            found = self._database.execute("SELECT data FROM digests").fetchone()
        return np.zeros(len(self), np.uint32) if found is None else np.frombuffer(found[0], "<u4")

    def common(self, words: Sequence[str]) -> int | None:
        """Return of how many rows at most all of some words are; None if one of these is not common."""
        found = []
        with self._lock, self._errors():
            for word in words:
                row = self._database.execute("SELECT rows FROM common WHERE word = ?", (word,)).fetchone()
                if row is None:
                    return None
                found.append(int(row[0]))
        return min(found)

    def _matches(self, asked: str, limit: int | None) -> Ids:
        with self._lock, self._errors():
            found = self._database.execute(
                "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (asked, -1 if limit is None else limit)
            ).fetchall()
            ids: Ids = np.array(found, dtype=np.int64).reshape(-1)  # (n,)
        if len(ids) and ids[-1] >= _FURTHER:
            first = int(np.searchsorted(ids, _FURTHER))
            ids = np.union1d(ids[:first], self.moved[ids[first:] - _FURTHER])
        return ids

    # Inside

    def _connected(self) -> sqlite3.Connection:
        import sqlite3  # which most queries do without

        with self._errors():
            if self._path is None:
                name = "file::memory:"
            else:
                how = "mode=rwc" if self._writable else "mode=ro&immutable=1"
                name = f"file:{quote(os.fsencode(os.path.abspath(self._path)))}?{how}"
            database = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
            for setting in ("journal_mode=off", "synchronous=off", "temp_store=memory", "cache_size=-16384"):
                if self._writable:
                    database.execute(f"PRAGMA {setting}")
            if not self._writable:
                database.execute(f"PRAGMA mmap_size={_MAPPED}")
            return database

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into the system's and ours."""
        import sqlite3

        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None) or 0
            if code == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            if code & 0xFF == sqlite3.SQLITE_READONLY:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS)) from error
            if self._writable and self._path is not None and code & 0xFF == sqlite3.SQLITE_IOERR:
                _write_more(self._path)  # raises what SQLite does not tell: a quota, a limit of files
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
            raise StoreCorrupt(
                f"{self._path}: the index of names cannot be read ({error}); delete this one file and run `build_index` on the folder"
            ) from error

    def abandon(self) -> None:
        """Leave it open for ever, as a forked child must: a thread that stayed with the parent may have been at it."""
        self._closing.detach()
        _abandoned.append(self._database)

    def close(self) -> None:
        """Close the file; looking up afterwards is an error."""
        with self._lock:
            self._closing()


def _write_more(path: Path) -> None:
    """Write behind a file that could not be written, for the system's own error; the file is thrown away."""
    with path.open("ab", buffering=0) as file:
        file.write(bytes(1 << 16))


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


@contextmanager
def _closing(database: sqlite3.Connection) -> Iterator[Any]:
    try:
        yield database
    finally:
        database.close()
