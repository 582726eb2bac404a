"""Keep what was read of images and found of pairs in a folder of the collection, so that only new images are looked at again.

The folder may be deleted at any time; the next search then reads everything anew. What pictures are compared by lies beside it, where
searches that verify their hits read it, too.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final

from indexes.files import make_directories
from retrieval.collection import FeatureStore
from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FOLDER: Final = "duplicates"
"""Of the collection's directory."""

_FILE: Final = "results.sqlite"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS facts (content BLOB PRIMARY KEY, version TEXT, facts BLOB) WITHOUT ROWID;
DROP TABLE IF EXISTS images;
CREATE TABLE IF NOT EXISTS verdicts (first BLOB, second BLOB, version TEXT, verdict BLOB, PRIMARY KEY (first, second)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS joins (name TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairs (name TEXT, part INTEGER, block INTEGER, first BLOB, second BLOB, scores BLOB, PRIMARY KEY (name, part, block));
"""
_AT_ONCE: Final = 500


class Results(AbstractContextManager["Results"]):
    """Results by content hash; a context manager. Used by one thread.

    Where the folder cannot be written, or another process writes it, results are kept in memory and forgotten at the end.

    Args:
        directory: the collection's.
        version: what the results of pairs depend on; those of another version are not used.
        facts: what those of images depend on.
    """

    def __init__(self, directory: Path, *, version: str, facts: str) -> None:
        self._version, self._facts = version, facts
        self._database = _opened(directory)
        self._features = FeatureStore(directory, writable=True)

    def __exit__(self, *_error: object) -> None:
        self._features.__exit__()
        with suppress(sqlite3.Error):
            self._database.commit()
        self._database.close()

    def commit(self) -> None:
        """Make what was put in durable."""
        with suppress(sqlite3.Error):
            self._database.commit()

    def images(self, contents: Sequence[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Return facts and features of images, by content hash, of those that are known."""
        found: dict[bytes, tuple[bytes, bytes]] = {}
        for start in range(0, len(contents), _AT_ONCE):
            some = contents[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT content, facts FROM facts WHERE version = ? AND content IN ({marks})",  # noqa: S608 - question marks only
                (self._facts, *some),
            ).fetchall()
            features = self._features.get([content for content, _ in rows])
            found |= {content: (facts, features.get(content, b"")) for content, facts in rows}
        return found

    def put_images(self, images: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Keep facts and features of images, by content hash; no features are empty."""
        rows = list(images)
        self._features.put((content, features) for content, _, features in rows if features)
        with suppress(sqlite3.Error):  # a full disk: they are read again another time
            self._database.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
                [(content, self._facts, facts) for content, facts, _ in rows],
            )

    def forget_features(self, contents: Sequence[bytes]) -> None:
        """Forget features of images that are there no more, once they are as many as the others.

        Args:
            contents: of all images that there are.
        """
        if len(self._features) > 2 * len(contents):
            self._features.keep_only(contents)

    def verdict(self, first: bytes, second: bytes) -> bytes | None:
        """Return what was found of a pair; None where it was not compared."""
        row = self._database.execute(
            "SELECT verdict FROM verdicts WHERE first = ? AND second = ? AND version = ?",
            (first, second, self._version),
        ).fetchone()
        return None if row is None else row[0]

    def put_verdicts(self, verdicts: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Keep what was found of pairs."""
        with suppress(sqlite3.Error):
            self._database.executemany(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
                [(first, second, self._version, data) for first, second, data in verdicts],
            )

    def join(self, name: str) -> str | None:
        """Return what was kept of the state of a join; None where nothing was."""
        row = self._database.execute("SELECT state FROM joins WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def put_join(self, name: str, state: str) -> None:
        """Keep the state of a join, and what was put in besides."""
        with suppress(sqlite3.Error):
            self._database.execute("INSERT OR REPLACE INTO joins VALUES (?, ?)", (name, state))
            self._database.commit()

    def pairs(self, name: str) -> list[tuple[bytes, bytes, bytes]]:
        """Return the blocks of pairs of a join: ids, ids and scores, as bytes of arrays."""
        return self._database.execute(
            "SELECT first, second, scores FROM pairs WHERE name = ? ORDER BY part, block", (name,)
        ).fetchall()

    def put_pairs(self, name: str, part: int, block: int, arrays: tuple[bytes, bytes, bytes]) -> bool:
        """Keep a block of pairs; say whether that could be done."""
        try:
            self._database.execute(
                "INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?, ?, ?)", (name, part, block, *arrays)
            )
        except sqlite3.Error:  # a full disk
            return False
        return True

    def forget_join(self, name: str) -> None:
        """Forget a join and its pairs."""
        with suppress(sqlite3.Error):
            self._database.execute("DELETE FROM pairs WHERE name = ?", (name,))
            self._database.execute("DELETE FROM joins WHERE name = ?", (name,))
            self._database.commit()


def _opened(directory: Path) -> sqlite3.Connection:
    path = directory / FOLDER / _FILE
    try:
        make_directories(path.parent)
    except (OSError, RetrievalError):
        return _in_memory()
    for _ in range(2):
        database = None
        try:
            database = sqlite3.connect(path, timeout=1.0)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_TABLES)
            database.execute("BEGIN IMMEDIATE")
            database.commit()
        except sqlite3.OperationalError:
            if database is not None:
                database.close()
            return _in_memory()
        except sqlite3.DatabaseError:  # not what was written: it can be made again
            if database is not None:
                database.close()
            with suppress(OSError):
                path.unlink()
            continue
        return database
    return _in_memory()


def _in_memory() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(_TABLES)
    return database
