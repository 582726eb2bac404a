"""Lock a collection so that only one process writes."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from indexes import forks
from indexes.errors import StoreFull, StoreLocked, StoreReadOnly

LOCK = "lock"


class WriterLock:
    """Hold the right to write to a collection; a context manager.

    An exclusive ``flock`` on the file ``lock`` in the collection's directory, which names the holder's pid. The kernel
    drops it when the process ends, however it ends, so a lock is never stale. A forked child does not hold it, and does
    not keep others out once its parent has let go; threads of one process count as one holder only if they share this
    object.

    Args:
        directory: the collection's directory; made if it is missing.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory) / LOCK
        self._file: int | None = None
        forks.after_fork(self, WriterLock._forked)

    def _forked(self) -> None:
        """Hold nothing in a child: closing its copy of the file leaves the parent's lock as it is."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    @property
    def held(self) -> bool:
        """Say whether this object holds the lock."""
        return self._file is not None

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            StoreLocked: another writer holds it; the message names its pid.
            StoreReadOnly: the directory cannot be made or written.
            StoreFull: there is no space for the lock file.
        """
        if self._file is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while self._file is None:
                file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    self._take(file)
                except BaseException:
                    os.close(file)
                    raise
        except StoreLocked:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(
                    f"{self.path}: no space left for the lock file; free some and try again"
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise StoreReadOnly(
                    f"{self.path.parent}: cannot be written ({os.strerror(error.errno)}); "
                    "make it writable, or keep the index elsewhere with `index=DIR`"
                ) from error
            raise

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            holder = "this process" if pid == str(os.getpid()) else f"process {pid}"
            raise StoreLocked(
                f"{self.path}: {holder} is writing to this collection; wait until it is done, or stop it",
                pid=int(pid) if pid.isdigit() else None,
            ) from error
        if not _same_file(file, self.path):  # removed between open and flock: lock the file that is there now
            os.close(file)
            return
        line = f"{os.getpid()}\n".encode()
        # Where it stands there already nothing is written: that may wait for the disk.
        if os.pread(file, len(line) + 1, 0) != line:
            os.ftruncate(file, 0)
            os.pwrite(file, line, 0)
        self._file = file

    def check(self) -> None:
        """Make sure that the lock still keeps others out.

        Raises:
            StoreLocked: it is not held, or its file was removed or replaced, so that another process may be writing.
        """
        if self._file is None:
            raise StoreLocked(
                f"{self.path}: the writer's lock is not held; open the collection for writing again"
            )
        if not _same_file(self._file, self.path):
            raise StoreLocked(
                f"{self.path}: the lock file was removed or replaced while this process was writing; "
                "nothing more is written, run the command again"
            )

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would let two writers hold two files."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):
                fcntl.flock(
                    file, fcntl.LOCK_UN
                )  # a process that was forked from C may still have the file open
            os.close(file)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self.path}: a held lock cannot be copied or sent to another process")

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _same_file(file: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), there)
