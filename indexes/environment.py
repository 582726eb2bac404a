"""One open LMDB environment per store and process: shared, growing, with its errors in our words."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from indexes.errors import RetrievalError, StoreClosed, StoreCorrupt, StoreFull, StoreLocked, StoreReadOnly
from indexes.files import limit_reached, writing
from indexes.gate import Gate

DATA: Final = "data.mdb"

_ROOM = 64 << 20
"""Bytes of map beyond what is used, at least; the map is address space, not memory."""

_READERS = 1024
"""Reader slots of 64 bytes each: processes times threads that are inside a read at one moment."""

# LMDB 0.9 and 1.0 cannot read each other's files. py-lmdb 3 ships both and takes the choice; before, 0.9 was all.
_PINNED: dict[str, Any] = {"lib_version": 0} if int(lmdb.__version__.split(".")[0]) >= 3 else {}

_CURE = "restore it from a backup, or delete the collection's directory and build it again"

_CLOSED = "closed/deleted/dropped"  # how LMDB's binding says that; there is no class or number for it

T = TypeVar("T")


class Environment:
    """An LMDB environment that `acquire` shares among all stores of this process that lie on the same file.

    LMDB must not be opened twice by one process (its locks belong to the process and the file), and a collection may
    be read while a build in the same process writes to it, so openers share one. It is opened for reading, and opened
    again, between two transactions, when the first writer comes. A forked child opens its own.
    """

    def __init__(
        self, path: Path, *, names: dict[bytes, dict[str, bool]], create: bool, writable: bool
    ) -> None:
        self.path = path
        self._names = names
        self._gate = Gate()
        self.users = 0
        self.writable = create or writable
        self._open(create=create)

    def _open(self, *, create: bool = False) -> None:
        data = self.path / DATA
        size = 0 if create else _length(data)
        options = {
            "max_dbs": len(self._names),
            "max_readers": _READERS,
            "readonly": not self.writable,
            **_PINNED,
        }
        with explained(self.path, readonly=not self.writable):
            # Readahead stays on: scans run at the disk's speed, and a query gets only its few hits' records at random.
            self._lmdb = self._lock_or_not(map_size=_rounded(2 * size + _ROOM), create=create, **options)
            try:
                self._pid = os.getpid()
                self.page = self._lmdb.stat()["psize"]
                needed = (self._lmdb.info()["last_pgno"] + 1) * self.page
                if not create and _length(data) < needed:
                    raise StoreCorrupt(
                        f"{data}: {_length(data):,} bytes, expected at least {needed:,} (half copied?); {_CURE}"
                    )
                open_database: Any = self._lmdb.open_db
                self.databases = {
                    name: open_database(name, create=create, **flags) for name, flags in self._names.items()
                }
            except BaseException:
                self._lmdb.close()
                raise

    def _lock_or_not(self, **options: Any) -> lmdb.Environment:
        try:
            return lmdb.open(str(self.path), **options)
        except lmdb.Error:
            # Others write here but we may not even lock: read without a slot. The reads are short.
            if not options["readonly"] or os.access(self.path / "lock.mdb", os.W_OK):
                raise
            return lmdb.open(str(self.path), lock=False, **options)

    def make_writable(self) -> None:
        """Open it again for writing, once nobody in this process is inside a transaction.

        Raises:
            StoreReadOnly: the files cannot be written; it stays open for reading.
        """
        if self.writable:
            return
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
                    f"{path}: cannot be written; make it writable, or keep the index elsewhere with --index DIR"
                )

    def read(self, function: Callable[[lmdb.Transaction[bytes]], T], *, buffers: bool = False) -> T:
        """Return what ``function`` makes of a snapshot.

        Args:
            function: reads, and soon returns: a long snapshot keeps the writer from reusing pages.
            buffers: values are memoryviews, which end with the transaction, instead of bytes.
        """
        if self._pid != os.getpid():
            self._after_fork()
        while True:
            self._gate.enter()
            try:
                txn = self._begin(buffers=buffers)
                if txn is not None:
                    with txn:
                        return function(txn)
            except lmdb.Error as error:
                raise _in_our_words(self.path, error, readonly=True) from error
            finally:
                self._gate.leave()
            self._adopt_size()

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
                    f"{self.path}: {_READERS} readers are inside already; try again when some are done"
                ) from error

    def write(self, apply: Callable[[lmdb.Transaction[bytes]], T], *, room: int) -> T:
        """Run ``apply`` in one write transaction and commit it; all of it is seen afterwards, or nothing.

        Args:
            apply: may be run again, with the map grown, after it failed for want of room.
            room: bytes that it will add, about.
        Raises:
            StoreFull: no space left; the last commit stays.
            StoreReadOnly: the store cannot be written.
        """
        if self._pid != os.getpid():
            raise StoreLocked(f"{self.path}: opened for writing before a fork; only the parent may write")
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

    def _write_once(self, apply: Callable[[lmdb.Transaction[bytes]], T], *, length: int) -> T:
        self._gate.enter()
        try:
            with explained(self.path), self._lmdb.begin(write=True) as txn:
                self._lengthen(length)
                return apply(txn)
        finally:
            self._gate.leave()

    def _lengthen(self, size: int) -> None:
        """Make the file ``size`` bytes long before pages are added.

        LMDB may leave its last, freed pages unwritten. So at every moment a file that is too short is a damaged one,
        which must not be mapped: touching what is not there ends the process (SIGBUS).
        """
        data = self.path / DATA
        with writing(data):
            if _length(data) < size:
                os.truncate(data, size)

    def _shorten(self) -> None:
        """Cut off what `_lengthen` added and nothing used."""
        with contextlib.suppress(OSError, lmdb.Error):
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

    def _after_fork(self) -> None:
        with self._gate.alone():
            if self._pid != os.getpid():
                self._lmdb.close()
                self.writable = False
                self._open()

    def stat(self, name: bytes) -> dict[str, Any]:
        """Return LMDB's statistics of one database: psize, depth, branch, leaf and overflow pages, entries."""
        return self.read(lambda txn: dict(txn.stat(self.databases[name])))

    def forget_dead_readers(self) -> None:
        """Free the slots of readers that were killed, so that the pages they saw can be used again."""
        self._lmdb.reader_check()

    def close(self) -> None:
        """Close it for every user in this process; `release` does so after the last."""
        with self._gate.alone():
            self._lmdb.close()


_open: dict[tuple[int, int], Environment] = {}
_guard = threading.Lock()


def _forked() -> None:
    global _guard  # noqa: PLW0603 - another thread may have held it at the fork
    _guard = threading.Lock()
    for environment in _open.values():
        environment._gate = Gate()  # noqa: SLF001 - likewise


os.register_at_fork(after_in_child=_forked)


def acquire(
    path: Path, *, names: dict[bytes, dict[str, bool]], create: bool = False, writable: bool = False
) -> Environment:
    """Return this process's environment on the directory ``path``, opening it for the first user.

    Args:
        path: the directory that LMDB's files lie in; made with ``create``.
        names: the databases, each with LMDB's flags.
        create: make a new one.
        writable: it will be written to.

    Raises:
        FileNotFoundError: there is none and ``create`` is not set.
        StoreCorrupt: the file is short, or not LMDB's.
        StoreReadOnly: ``writable``, and it cannot be written.
        SystemLimit: no more open files or memory.
    """
    with _guard:
        if create:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
        environment = None if create else _open.get(_identity(path))
        if environment is None:
            environment = Environment(path, names=names, create=create, writable=False)
            _open[_identity(path)] = environment
        environment.users += 1
        try:
            if writable:
                environment.make_writable()
        except BaseException:
            _drop(environment)
            raise
        return environment


def release(environment: Environment) -> None:
    """Give up one use of ``environment``; the last one closes it."""
    with _guard:
        _drop(environment)


def _drop(environment: Environment) -> None:
    environment.users -= 1
    if environment.users == 0:
        for identity in [identity for identity, other in _open.items() if other is environment]:
            del _open[identity]
        environment.close()


def _identity(path: Path) -> tuple[int, int]:
    status = (path / DATA).stat()
    return status.st_dev, status.st_ino


def _length(path: Path) -> int:
    size = path.stat().st_size
    if size == 0:  # LMDB would take it for a new environment
        raise StoreCorrupt(f"{path}: empty, expected an LMDB file; {_CURE}")
    return size


def _rounded(size: int) -> int:
    return -(-size // (1 << 20)) << 20


@contextlib.contextmanager
def explained(path: Path, *, readonly: bool = False) -> Iterator[None]:
    """Turn LMDB's errors into ours, except those that growing the map cures."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.MapResizedError, RetrievalError):
        raise
    except lmdb.Error as error:
        raise _in_our_words(path, error, readonly=readonly) from error


def _in_our_words(path: Path, error: lmdb.Error, *, readonly: bool) -> RetrievalError:
    text = str(error)
    if (
        isinstance(error, lmdb.ReadonlyError)
        or "Permission denied" in text
        or "Read-only file system" in text
    ):
        return StoreReadOnly(
            f"{path}: cannot be {'read' if readonly else 'written'} ({text}); check its permissions"
        )
    # A write that the system cut short (no space, a quota, a limit on the file's length) reaches us as EIO.
    if isinstance(error, lmdb.DiskError) or any(
        word in text for word in ("Input/output", "No space", "too large")
    ):
        return StoreFull(
            f"{path}: a write was cut short ({text}); what was committed before is whole: "
            "free some space, or check the device, and run the command again"
        )
    if _CLOSED in text:
        return StoreClosed(f"{path}: is closed; open it again")
    return limit_reached(error, path) or StoreCorrupt(f"{path}: cannot be used ({text}); {_CURE}")
