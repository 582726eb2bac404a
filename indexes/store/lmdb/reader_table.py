"""Make room for LMDB's reader table on a full disk, and read without one on a read-only disk.

A reader on a read-only or full file system has no place in the table, so a writer does not know of it and uses pages
again that it is looking at: at best it reads nonsense, at worst LMDB ends the process. Such a reader holds a shared
lock on the data file while it looks, and a writer an exclusive one while it commits. Neither needs the right to write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

READERS: Final = 1024
"""Places of 64 bytes each: processes times threads that are inside a read at one moment."""

_BYTES: Final = 64 * (READERS + 64)  # a little more than LMDB asks for; it then uses the file as it is

_PATIENCE: Final = 10.0
"""Seconds that a writer waits for such readers, whose looks take milliseconds: one that was stopped must not stop it."""


def reserve_table(path: Path) -> None:
    """Give the table of readers all its blocks: LMDB maps it, and touching what has no block ends the process (SIGBUS).

    Nobody in this process may have it open: closing any descriptor of the file gives up the process's locks on it.

    Raises:
        OSError: it cannot be written, or there is no space.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    try:
        status = os.fstat(file)
        if status.st_size < _BYTES or status.st_blocks * 512 < status.st_size:
            os.posix_fallocate(file, 0, max(_BYTES, status.st_size))
    finally:
        os.close(file)


@contextlib.contextmanager
def commits_held_off(data: Path) -> Iterator[None]:
    """Let no writer commit within the block, as far as the file system keeps locks."""
    file = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def unseen_readers_held_off(data: Path) -> Iterator[None]:
    """Commit within the block: readers without a place in the table wait."""
    file = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(0.001)
                    continue
            except OSError:  # a file system without locks, or one that wants the right to write for this
                pass
            break
        yield
    finally:
        os.close(file)
