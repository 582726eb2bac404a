"""Files written whole or not at all, and what an operating system's refusal means to a collection."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from indexes.errors import RetrievalError, StoreCorrupt, StoreFull, StoreReadOnly, SystemLimit

PARTIAL = ".partial-"
"""Begins the name of everything that is not finished; the next writer removes what a killed one left."""

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
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        free = ""
        import shutil

        with contextlib.suppress(OSError):
            free = f" ({shutil.disk_usage(path if path.exists() else path.parent).free:,} bytes free)"
        return StoreFull(
            f"{path}: cannot be written, {reason.lower()}{free}; what was committed before is whole: "
            "free some space and run the command again"
        )
    if error.errno in _READ_ONLY:
        return StoreReadOnly(
            f"{path}: cannot be written ({reason}); make it writable, or keep the index elsewhere with --index DIR"
        )
    return limit_reached(error, path) or StoreCorrupt(
        f"{path}: cannot be written ({reason}); check the device and the folder, then run again"
    )


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


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old contents or all of the new ones, even after a crash."""
    partial = path.with_name(PARTIAL + path.name)
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_directory(path.parent)


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


def remove_partials(directory: Path) -> None:
    """Remove what killed writers left unfinished in ``directory``; only the holder of the writer's lock may."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.iterdir()):
            if path.name.startswith(PARTIAL):
                if path.is_dir() and not path.is_symlink():
                    remove_tree(path)
                else:
                    path.unlink(missing_ok=True)
