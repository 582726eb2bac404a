"""Read and write one LMDB environment, whose map grows as needed and which survives a fork.

Long because whoever opens, reads, writes or resizes it passes the same gate.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from indexes import forks
from indexes.errors import StoreCorrupt, StoreLocked, StoreReadOnly
from indexes.files import writing
from indexes.store.lmdb.error_texts import HINT, cannot_reserve, explained, file_size, translate
from indexes.store.lmdb.gate import Gate
from indexes.store.lmdb.reader_table import READERS, commits_held_off, reserve_table, unseen_readers_held_off

DATA: Final = "data.mdb"

_ROOM = 64 << 20
"""Bytes of map beyond what is used, at least; the map is address space, not memory."""

# LMDB 0.9 and 1.0 cannot read each other's files. py-lmdb 3 ships both and takes the choice; before, 0.9 was all.
_PINNED: dict[str, Any] = {"lib_version": 0} if int(lmdb.__version__.split(".")[0]) >= 3 else {}

TABLE: Final = "lock.mdb"
"""LMDB's table of readers."""

_TRIES = 1000  # reads that a commit came between, before that is an error

FORK_SECONDS: Final = 10.0
"""How long a fork waits for this process's short transactions; then it goes on without."""

T = TypeVar("T")

Databases = dict[bytes, Any]
"""LMDB's handles by name."""


class Environment:
    """An LMDB environment that `sharing.acquire` shares among all stores of this process that lie on the same file.

    LMDB must not be opened twice by one process (its locks belong to the process and the file), and a collection may
    be read while a build in the same process writes to it, so openers share one. It is opened for reading, and opened
    again, between two transactions, when the first writer comes. A forked child opens its own: a fork waits until no
    thread is inside a transaction.

    Attributes:
        checked: names of pages whose checksums were found right; whoever reads such pages keeps it.
        without_runs: number of the last commit seen in which the store keeps no runs of digests; whoever reads these keeps it.
    """

    def __init__(
        self,
        path: Path,
        *,
        names: dict[bytes, dict[str, bool]],
        optional: frozenset[bytes] = frozenset(),
        create: bool,
        writable: bool,
    ) -> None:
        self.path = path
        self._names, self._optional = names, optional
        self._looking = forks.Lock()
        self._looked = -1  # the last commit in which an optional database was missing
        self._gate = Gate()
        self.users = 0
        self.writable = create or writable
        self._open(create=create)

    def _open(self, *, create: bool = False) -> None:
        data = self.path / DATA
        self.checked: set[bytes] = set()
        self.without_runs = -1
        size = 0 if create else file_size(data)
        options = {
            "max_dbs": len(self._names),
            "max_readers": READERS,
            "readonly": not self.writable,
            # A spare transaction keeps a place in the table of readers, which a forked child would give up for its parent.
            "max_spare_txns": 0,
            **_PINNED,
        }
        with explained(self.path, readonly=not self.writable):
            # Readahead stays on: scans run at the disk's speed, and a query gets only its few hits' records at random.
            self._lmdb = self._lock_or_not(map_size=_rounded(2 * size + _ROOM), create=create, **options)
            try:
                self._inherited = (
                    False  # from the parent, by a fork; told by the hook, since asking the system costs more
                )
                self.page = self._lmdb.stat()["psize"]
                needed = (self._lmdb.info()["last_pgno"] + 1) * self.page
                if not create and file_size(data) < needed:
                    raise StoreCorrupt(
                        f"{data}: {file_size(data):,} bytes, expected at least {needed:,} (half copied?); {HINT}"
                    )
                self._databases: Databases = {}
                for name in self._names:
                    self._open_database(name, create=create and name not in self._optional)
            except BaseException:
                self._lmdb.close()
                raise

    def _open_database(self, name: bytes, *, create: bool) -> None:
        """Open one database; an optional one that is missing is passed over.

        LMDB's binding would wait for another writer without letting Python's other threads run, this one too, so the
        transaction is begun here. Only one that writes, or that the binding ends itself, leaves a handle that stays valid.
        """
        open_database: Any = self._lmdb.open_db
        try:
            if self.writable:
                with self._lmdb.begin(write=True) as txn:
                    handle = open_database(name, txn=txn, create=create, **self._names[name])
            else:
                handle = open_database(name, create=create, **self._names[name])
        except lmdb.NotFoundError:
            if name not in self._optional:
                raise
        else:
            self._databases[name] = handle

    def has_database(self, name: bytes) -> bool:
        """Say whether an optional database is there by now; others may have made it since this was opened."""
        self._reopen_in_child()
        if name in self._databases:
            return True
        with self._looking:  # LMDB looks for one database at a time
            commits = self.commits
            while name not in self._databases and commits != self._looked:
                try:
                    with self._gate.passed(), explained(self.path), self._held_off():
                        self._open_database(name, create=False)
                except lmdb.MapResizedError:
                    self._adopt_size()
                else:
                    self._looked = commits
        return name in self._databases

    def make_database(self, name: bytes) -> None:
        """Make an optional database, if it is not there yet, in a transaction of its own, before it is written to.

        Raises:
            StoreFull: no space left.
        """
        if self.has_database(name):
            return
        with self._gate.passed():
            info = self._lmdb.info()
        length = (info["last_pgno"] + 1) * self.page + (1 << 20)
        if length > info["map_size"]:
            self._grow(length)
        try:
            with (
                self._looking,
                self._gate.passed(),
                explained(self.path),
                unseen_readers_held_off(self.path / DATA),
            ):
                self._lengthen(length)
                self._open_database(name, create=True)
        finally:
            self._shorten()

    def _held_off(self) -> contextlib.AbstractContextManager[None]:
        """Hold commits off within the block, if this has no place in the table of readers."""
        return commits_held_off(self.path / DATA) if self._without_place else contextlib.nullcontext()

    def _lock_or_not(self, **options: Any) -> lmdb.Environment:
        """Open it with a place in the table of readers; without one only for reading, and where there can be none."""
        try:
            reserve_table(self.path / TABLE)
        except OSError as error:
            if not options["readonly"]:
                raise cannot_reserve(self.path / TABLE, error) from error
        else:
            self._without_place = False
            return lmdb.open(str(self.path), **options)
        # Others may write here, but we can keep no table of readers. The reads are short, and `_read_unseen` is careful.
        self._without_place = True
        return lmdb.open(str(self.path), lock=False, **options)

    def make_writable(self) -> None:
        """Open it again for writing, once nobody in this process is inside a transaction.

        Raises:
            StoreReadOnly: the files cannot be written; it stays open for reading.
        """
        if self.writable:
            return
        self._reopen_in_child()
        self._require_access()
        with self._gate.alone():
            self._lmdb.close()
            self.writable = True
            try:
                self._open()
            except BaseException:
                self.writable = False
                self._open()
                raise

    def _require_access(self) -> None:
        for path in (self.path, self.path / DATA):
            if not os.access(path, os.W_OK):
                raise StoreReadOnly(
                    f"{path}: cannot be written; make it writable, or keep the index elsewhere with `index=DIR`"
                )

    def read(
        self, function: Callable[[lmdb.Transaction[bytes], Databases], T], *, buffers: bool = False
    ) -> T:
        """Return what ``function`` makes of a snapshot.

        Args:
            function: reads, and soon returns: a long snapshot keeps the writer from reusing pages. It is handed the
                databases of this moment, since whoever comes to write opens the environment anew.
            buffers: values are memoryviews, which end with the transaction, instead of bytes.
        """
        self._reopen_in_child()
        while True:
            self._gate.enter()
            try:
                if self._without_place:
                    with commits_held_off(self.path / DATA):
                        return self._read_unseen(function, buffers=buffers)
                begin: Callable[..., lmdb.Transaction[bytes] | None] = self._lmdb.begin
                try:
                    txn = begin(buffers=buffers)
                except (lmdb.MapResizedError, lmdb.ReadersFullError):
                    txn = self._begin(buffers=buffers)
                if txn is not None:
                    with txn:
                        return function(txn, self._databases)
            except lmdb.MapResizedError:
                pass  # of `_read_unseen`; adopted below
            except lmdb.Error as error:
                raise translate(self.path, error, readonly=True) from error
            finally:
                self._gate.leave()
            self._adopt_size()

    def _read_unseen(
        self, function: Callable[[lmdb.Transaction[bytes], Databases], T], *, buffers: bool
    ) -> T:
        """Read without a place in the table of readers: a writer does not know, and may use these pages again.

        Writers wait while the file is held (`commits_held_off`). Where the file system keeps no locks, what was read counts
        only if nothing has been committed meanwhile: a writer spares the newest snapshot's pages until then.
        """
        begin: Callable[..., lmdb.Transaction[bytes]] = self._lmdb.begin
        for _ in range(_TRIES):
            with begin(buffers=buffers) as txn:
                number, error = txn.id(), None
                try:
                    result = function(txn, self._databases)
                except Exception as raised:  # noqa: BLE001 - of pages that were used again, perhaps
                    error = raised
                if self._lmdb.info()["last_txnid"] == number:
                    if error is not None:
                        raise error
                    return result
        raise StoreLocked(
            f"{self.path}: another process commits faster than can be read here without the right to write; try again"
        )

    def _begin(self, *, buffers: bool) -> lmdb.Transaction[bytes] | None:
        """Begin reading; None when another process made the map larger than ours."""
        begin: Callable[..., lmdb.Transaction[bytes]] = self._lmdb.begin
        try:
            return begin(buffers=buffers)
        except lmdb.MapResizedError:
            return None
        except lmdb.ReadersFullError as error:
            self._lmdb.reader_check()  # slots of processes that were killed
            try:
                return begin(buffers=buffers)
            except lmdb.ReadersFullError:
                raise StoreLocked(
                    f"{self.path}: {READERS} readers are inside already; try again when some are done"
                ) from error

    def end_killed_commit(self) -> None:
        """Let readers see the commit of a writer that was killed right after it; the caller holds the collection's lock.

        LMDB writes the header of a commit, then tells readers its number. Whoever is killed in between leaves a commit that
        only the next write transaction sees; LMDB puts the number right when that begins.
        """
        with self._gate.passed(), explained(self.path):
            self._lmdb.begin(write=True).abort()

    def write(self, apply: Callable[[lmdb.Transaction[bytes], Databases], T], *, room: int) -> T:
        """Run ``apply`` in one write transaction and commit it; all of it is seen afterwards, or nothing.

        Args:
            apply: may be run again, with the map grown, after it failed for want of room; as `read` calls it.
            room: bytes that it will add, about.
        Raises:
            StoreFull: no space left; the last commit stays.
            StoreReadOnly: the store cannot be written.
        """
        if self._inherited:
            raise StoreLocked(f"{self.path}: opened for writing before a fork; only the parent may write")
        with self._gate.passed():
            info = self._lmdb.info()
        used = (info["last_pgno"] + 1) * self.page
        if used + room > info["map_size"]:
            self._grow(used + room)
        try:
            while True:
                try:
                    return self._write_once(apply, length=used + room)
                except lmdb.MapFullError:
                    self._grow(2 * self._lmdb.info()["map_size"])
                except lmdb.MapResizedError:
                    self._adopt_size()
        finally:
            self._shorten()

    def _write_once(self, apply: Callable[[lmdb.Transaction[bytes], Databases], T], *, length: int) -> T:
        with (
            self._gate.passed(),
            explained(self.path),
            unseen_readers_held_off(self.path / DATA),
            self._lmdb.begin(write=True) as txn,
        ):
            self._lengthen(length)
            return apply(txn, self._databases)

    def _lengthen(self, size: int) -> None:
        """Make the file ``size`` bytes long before pages are added.

        LMDB may leave its last, freed pages unwritten. So at every moment a file that is too short is a damaged one,
        which must not be mapped: touching what is not there ends the process (SIGBUS).
        """
        data = self.path / DATA
        with writing(data):
            if file_size(data) < size:
                os.truncate(data, size)

    def _shorten(self) -> None:
        """Cut off what `_lengthen` added and nothing used."""
        with contextlib.suppress(OSError, lmdb.Error), self._gate.passed():
            txn = self._lmdb.begin(write=True)  # keeps every other writer out meanwhile
            try:
                os.truncate(self.path / DATA, (self._lmdb.info()["last_pgno"] + 1) * self.page)
            finally:
                txn.abort()

    def _grow(self, needed: int) -> None:
        with self._gate.alone(), explained(self.path):
            self._lmdb.set_mapsize(_rounded(needed + max(_ROOM, needed // 2)))

    def _adopt_size(self) -> None:
        with self._gate.alone(), explained(self.path):
            self._lmdb.set_mapsize(0)

    def hold(self) -> bool:
        """Wait until nobody in this process is inside a transaction, before a fork; say whether it was in time.

        A child ends what it inherits, and a transaction of the parent would lose its place in the table of readers.
        """
        return self._gate.shut(seconds=FORK_SECONDS)

    def go_on(self) -> None:
        """Let this process go on after a fork."""
        self._gate.reopen()

    def leave_to_parent(self) -> None:
        """Close what was inherited, in a child; the next use opens it anew, for reading."""
        self._gate = Gate()
        self._inherited = True
        self.writable = False
        with contextlib.suppress(lmdb.Error):
            self._lmdb.close()

    def _reopen_in_child(self) -> None:
        if self._inherited:
            with self._gate.alone():
                if self._inherited:
                    self._open()

    def stat(self, name: bytes) -> dict[str, Any]:
        """Return LMDB's statistics of one database: psize, depth, branch, leaf and overflow pages, entries."""
        return self.read(lambda txn, databases: dict(txn.stat(databases[name])))

    @property
    def commits(self) -> int:
        """The number of the last transaction that was committed, by any process."""
        self._reopen_in_child()
        with self._gate.passed():
            return int(self._lmdb.info()["last_txnid"])

    def forget_dead_readers(self) -> None:
        """Free the slots of readers that were killed, so that the pages they saw can be used again."""
        self._reopen_in_child()
        with self._gate.passed():
            self._lmdb.reader_check()

    def close(self) -> None:
        """Close it for every user in this process; `release` does so after the last."""
        with self._gate.alone():
            self._lmdb.close()


def _rounded(size: int) -> int:
    return -(-size // (1 << 20)) << 20
