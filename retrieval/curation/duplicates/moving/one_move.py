"""Move one file durably, never onto a file that exists: by links, by names, or by a compared copy to another file system."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from indexes.files import PARTIAL, sync_directory, sync_file, writing
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrieval.curation.duplicates.moving.undo_file import Line

UNFINISHED: Final = f"{PARTIAL}moved"
"""Name of a copy that is not whole yet."""

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
_BLOCK: Final = 1 << 20


def give(line: Line) -> bool:
    """Move one file whose line is durable; never onto a file that exists.

    Returns:
        False if another file took its place meanwhile; that one stays.
    Raises:
        FileExistsError: the name is taken.
    """
    source, target = line.source, line.target
    with _told(target):
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _give_copy(line)
            if error.errno not in _NO_LINKS:
                raise
            return _give_name(line)
        sync_directory(Path(target).parent)
        return _take(source, lambda: os.path.samefile(source, target))


@contextmanager
def _told(target: str) -> Iterator[None]:
    """Turn the system's errors into ours, except that a name is taken."""
    taken = None
    with writing(Path(target)):
        try:
            yield
        except FileExistsError as error:
            taken = error
    if taken is not None:
        raise taken


def _take(source: str, is_same: Callable[[], bool]) -> bool:
    """Remove the old name of a file that has its new one."""
    if not is_same():
        return False
    os.unlink(source)
    sync_directory(Path(source).parent)
    return True


def _give_name(line: Line) -> bool:
    """Move a file where there are no hard links: take the name first, then rename onto it."""
    os.close(os.open(line.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    os.rename(line.source, line.target)
    sync_directory(Path(line.target).parent)
    sync_directory(Path(line.source).parent)
    return True


def _give_copy(line: Line) -> bool:
    """Move a file to another file system: a whole, durable and compared copy first."""
    folder = Path(line.target).parent
    partial = folder / UNFINISHED
    try:
        shutil.copyfile(line.source, partial)
        shutil.copystat(line.source, partial)
        sync_file(partial)
        try:
            os.link(partial, line.target)
        except FileExistsError:
            raise
        except OSError:
            os.close(os.open(line.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
            os.rename(partial, line.target)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(folder)
    return _take(
        line.source,
        lambda: keys.stamp_of(line.source) == line.stamp and same_bytes(line.source, line.target),
    )


def same_bytes(first: str, second: str) -> bool:
    """Say whether two files hold the same bytes."""
    with open(first, "rb") as one, open(second, "rb") as other:
        while True:
            block = one.read(_BLOCK)
            if block != other.read(_BLOCK):
                return False
            if not block:
                return True
