"""Carry a new file through the threads that read, hash and decode it, and bound the bytes that are held meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from retrieval.columns import header_columns
from retrieval.errors import ImageError
from retrieval.sources import keys

if TYPE_CHECKING:
    from retrieval.columns import Value
    from retrieval.sources import Entry, Source


class ByteBudget:
    """How many bytes of files may be held from their hashing to their decoding; others are read again."""

    def __init__(self, most: int) -> None:
        self._left, self._lock = most, threading.Lock()

    def take(self, size: int) -> bool:
        """Take some bytes of what is left; say whether there was enough."""
        with self._lock:
            enough = size <= self._left
            self._left -= size if enough else 0
            return enough

    def overdraw(self, size: int) -> None:
        """Take some bytes even if there is not enough left."""
        with self._lock:
            self._left -= size

    @property
    def is_spent(self) -> bool:
        """Say whether nothing is left."""
        return self._left <= 0

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += size


class FreshFile:
    """A fresh file on its way through the threads, with its bytes once it has been hashed.

    Args:
        file, source: the file, and where it is read.
        budget, max_pixels: of the build.
        once: it is not read again.
        headers: note what its header says, too.
    Attributes:
        header: that, once it was read.
    """

    __slots__ = (
        "_budget",
        "_data",
        "_error",
        "_headers",
        "_max_pixels",
        "_once",
        "_source",
        "file",
        "header",
    )

    header: dict[str, Value]

    def __init__(
        self,
        file: Entry,
        source: Source,
        budget: ByteBudget,
        max_pixels: int | None,
        *,
        once: bool = False,
        headers: bool = False,
    ) -> None:
        self._source, self._headers, self.header = source, headers, {}
        self.file, self._budget, self._data = file, budget, b""
        self._max_pixels, self._once = max_pixels, once
        self._error: ImageError | None = None

    def size(self) -> int:
        """Return how many bytes have to be read."""
        return 0 if self._data else keys.size_of(self.file.stamp)

    def name(self) -> str:
        """Return what messages call the file."""
        return self._source.link(self.file.key)

    def content(self) -> bytes | None:
        """Read and hash the file; None if it cannot be read, which is told when it is decoded."""
        from retrieval.sources.decoding import FILE_BYTES, content_hash

        with FILE_BYTES.hold(keys.size_of(self.file.stamp)):
            data = self._fetched()
            if data is None:
                return None
            self._note_header(data)
            return content_hash(data)

    def fetch(self) -> None:
        """Read the file and hold its bytes: what else is done with them is the work of as many threads as there are cores."""
        from retrieval.sources.decoding import FILE_BYTES

        with FILE_BYTES.hold(keys.size_of(self.file.stamp)):
            self._fetched()

    def _fetched(self) -> bytes | None:
        """Read the file and hold its bytes if there is room; None, and the error is kept for `read`, if it cannot be read."""
        try:
            data = self._source.read(self.file, max_pixels=self._max_pixels)
        except ImageError as error:
            self._error = error if self._once else None
            return None
        if self._once:
            self._budget.overdraw(len(data))
            self._data = data
        elif self._budget.take(len(data)):
            self._data = data
        return data

    def read(self) -> bytes:
        """Return the file's bytes, and hold them no longer."""
        if self._error is not None:
            raise self._error
        data = self._data
        if data:
            self.release()
        else:
            data = self._source.read(self.file, max_pixels=self._max_pixels)
        self._note_header(data)
        return data

    def _note_header(self, data: bytes) -> None:
        if self._headers and not self.header:
            self.header = header_columns(data)

    def release(self) -> None:
        """Let go of the bytes."""
        size, self._data = len(self._data), b""
        self._budget.give_back(size)
