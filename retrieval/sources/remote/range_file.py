"""Read a remote file at any place as if it were a local one: each piece is one request, tried again if it fails."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

_BLOCK = 4 << 20
"""Bytes that are read at once, at least."""


def open_ranges(read_range: Callable[[int, int], bytes], *, size: int) -> io.BufferedReader:
    """Return a file that reads ahead.

    Args:
        read_range: returns the bytes from one place to before another.
        size: of the file.
    """
    return io.BufferedReader(_Ranges(read_range, size), buffer_size=_BLOCK)


class _Ranges(io.RawIOBase):
    """A file whose every read is a request."""

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range, self._size, self._at = read_range, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        stop = min(self._at + len(view), self._size)
        if stop <= self._at:
            return 0
        data = self._read_range(self._at, stop)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
