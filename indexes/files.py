"""Write files whole or not at all, and translate the operating system's errors.

One order for everything that a crash must not tear: write to a temporary name in the same directory, make the contents
durable, take the final name, make the name durable. A file that names others (the manifest) is written after all of
their names, and those of the directories above them, are durable (`sync_names`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar

from indexes.errors import RetrievalError, StoreCorrupt, StoreFull, StoreReadOnly, SystemLimit

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

_PARSES = 100  # of one file, before Python's parser is believed

PARTIAL = ".partial-"
"""Begins the name of everything that is not finished; the next writer removes what a killed one left."""

_LONGEST = 240  # bytes of a name that has room for `PARTIAL` before it, of the 255 that file systems allow

_CUT_SHORT = re.compile(
    r"\d+ requested and \d+ written"
)  # numpy's words for a full disk; its error has no number

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

_LIMITS = {  # in this order: the message of the first begins with that of the second
    errno.ENFILE: "close other programs",
    errno.EMFILE: "raise the limit (ulimit -n), or open fewer collections at once",
    errno.ENOMEM: "free some memory, or raise the limit (ulimit -v)",
}


def limit_reached(error: Exception, path: str | os.PathLike[str]) -> SystemLimit | None:
    """Return what to raise where the system had no more to give, so that nobody takes ``path`` for damaged; else None.

    Args:
        error: an `OSError`, or a library's error that quotes the system.
        path: what was opened, read or written.
    """
    for number, cure in _LIMITS.items():
        reason = os.strerror(number)
        if getattr(error, "errno", None) == number or reason in str(error):
            return SystemLimit(
                f"{os.fspath(path)}: {reason.lower()}; nothing is damaged: {cure}, and run the command again"
            )
    return None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` while ``path`` is written into an error of ours.

    Raises:
        StoreFull: no space, no quota, or the file may not grow.
        StoreReadOnly: permission denied or a read-only file system.
        SystemLimit: no more open files or memory.
        StoreCorrupt: the device failed, or a folder went away.
    """
    try:
        yield
    except RetrievalError:
        raise
    except OSError as error:
        raise _in_our_words(error, path) from error


def _in_our_words(error: OSError, path: Path) -> RetrievalError:
    full = disk_full(error, path)
    if full is not None:
        return StoreFull(
            f"{path}: cannot be written, {full}; what was committed before is whole: "
            "free some space and run the command again"
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _READ_ONLY:
        return StoreReadOnly(
            f"{path}: cannot be written ({reason}); make it writable, or keep the index elsewhere with `index=DIR`"
        )
    return limit_reached(error, path) or StoreCorrupt(
        f"{path}: cannot be written ({reason}); check the device and the folder, then run again"
    )


def disk_full(error: OSError, path: Path) -> str | None:
    """Say in words that there was no space for ``path``, and how much there is; None if that was not the reason.

    Libraries report it without a number: numpy counts what it wrote, FAISS quotes the system.
    """
    text = str(error)
    if error.errno in _FULL:
        reason = os.strerror(error.errno)
    elif error.errno is None and _CUT_SHORT.search(text):
        reason = os.strerror(errno.ENOSPC)
    else:
        reason = next((os.strerror(number) for number in _FULL if os.strerror(number) in text), "")
    if error.errno not in (None, *_FULL) or not reason:
        return None
    import shutil

    free = ""
    with contextlib.suppress(OSError):
        free = f" ({shutil.disk_usage(path if path.exists() else path.parent).free:,} bytes free)"
    return f"{reason.lower()}{free}"


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the contents of ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_names(directory: Path, *, below: Path) -> None:
    """Make the names in ``directory`` durable, and its own in those above it, up to ``below``.

    Args:
        directory: lies in ``below``, or is it.
    """
    for folder in (directory, *directory.parents):
        sync_directory(folder)
        if folder == below:
            return


def make_directories(path: Path) -> None:
    """Make a directory, and those above it that are missing, and make their names durable."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def write_array(file: BinaryIO | IO[bytes], array: NDArray[Any]) -> None:
    """Write an array to an open file as ``.npy``; a mapped one is never read whole.

    `numpy.save` hands the data to a buffered file of C's, and does not look whether the last of it could be written: on a
    full disk it leaves a short file and says nothing.

    Raises:
        OSError: not all of it could be written.
    """
    import numpy as np

    plain = SimpleNamespace(
        write=file.write
    )  # no file that numpy knows: it writes piece by piece, and sees errors
    np.lib.format.write_array(plain, array, allow_pickle=False)


def parsed(read: Callable[[], T]) -> T:
    """Return what reads arrays by numpy, and read again where Python's parser was disturbed by another thread.

    numpy parses the header of an array by `ast.literal_eval`, and Python 3.11 counts how deep its parser is for all threads
    together: where two parse at a time either may get a SystemError (CPython issue 106905). It says nothing about the file.
    """
    for _ in range(_PARSES):
        with contextlib.suppress(SystemError):
            return read()
    return read()


def move(source: Path, target: Path) -> None:
    """Give a file or directory its final name, durably; a file that has the name is replaced."""
    os.rename(source, target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the name ``path`` when the block ends, whole and durable; a failure leaves the old file.

    A reader sees the old contents or all of the new ones, even after a crash. What a killed process leaves beside it has
    one name, so that the next one overwrites it.

    Raises:
        BlockingIOError: another process is writing this very file.
    """
    partial = partial_of(path)
    file = open_alone(partial)
    try:
        with os.fdopen(file, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(file)
            os.replace(partial, path)  # while it is locked: nobody else can mean this file by its name
        sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def partial_of(path: Path) -> Path:
    """Return the name that ``path`` has until it is finished, always the same one, in the same directory."""
    name = os.fsencode(path.name)
    if len(name) > _LONGEST:
        return path.with_name(f"{PARTIAL}{path.name[:40]}-{hashlib.sha256(name).hexdigest()[:16]}")
    return path.with_name(PARTIAL + path.name)


def open_alone(partial: Path) -> int:
    """Open an unfinished file for writing, empty, and keep other processes from it while it is open.

    Raises:
        BlockingIOError: another process has it open.
    """
    while True:
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BlockingIOError(
                    error.errno, "another process is writing it; wait until it is done", os.fspath(partial)
                ) from None
            except OSError:
                pass  # a file system without locks
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(partial)):
                    os.ftruncate(file, 0)
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # it was finished or removed between the two calls: open the one that is there now


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old contents or all of the new ones, even after a crash."""
    with replacing(path) as file:
        file.write(data)


def link_or_copy(source: Path, target: Path) -> None:
    """Carry an unchanged file into another directory: a hard link where the file system has them, else a copy.

    Raises:
        StoreFull: no space for a copy.
    """
    with writing(target):
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EEXIST, errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            import shutil

            shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(directory: Path) -> None:
    """Remove a directory with all that is in it, as far as that can be removed; there need not be one."""
    import shutil  # it loads every archive format; who only reads does without

    shutil.rmtree(directory, ignore_errors=True)


def sweep_unlocked(directory: Path, *, prefix: str) -> None:
    """Remove files that begin with ``prefix`` and that no process has open by `open_alone`: killed ones left them."""
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob(f"{prefix}*")):
            with contextlib.suppress(OSError):
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(file)


def remove_partials(directory: Path) -> None:
    """Remove what killed writers left unfinished in ``directory``; only the holder of the writer's lock may."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.iterdir()):
            if path.name.startswith(PARTIAL):
                if path.is_dir() and not path.is_symlink():
                    remove_tree(path)
                else:
                    path.unlink(missing_ok=True)
