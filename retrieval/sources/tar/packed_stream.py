"""Read parts of gzipped archives: at any place with a seek index, else going forward once."""

from __future__ import annotations

import gzip
import os
import threading
import weakref
from collections import OrderedDict, deque
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAMAGED: Final = "its packed data is damaged; fetch or write the archive anew"
"""What messages say of gzipped archives."""

HELD_BYTES: Final = 64 << 20
"""Bytes that were passed over on the way to others, and are kept for who asks for them a little later."""

_MOST_OPEN = 8

SPACING: Final = 4 << 20
"""Unpacked bytes between two places of a seek index; each place takes 32 KiB."""


def open_packed(file: IO[bytes], index: Path | None = None) -> Any:
    """Return an unpacked view of a gzipped file, which can be sought in.

    Args:
        file: opened; it stays open when the view is closed.
        index: a seek index that `save_index` wrote; used where indexed_gzip is installed.
    """
    try:
        from indexed_gzip import IndexedGzipFile
    except ImportError:
        return open_forward(file)
    view = IndexedGzipFile(fileobj=file, spacing=SPACING)
    if index is not None and index.exists():
        with suppress(Exception):  # it is made anew while the file is read
            view.import_index(filename=os.fspath(index))
    return view


def open_forward(file: IO[bytes]) -> Any:
    """Return an unpacked view of a gzipped file that reads from its beginning, without a seek index."""
    return gzip.GzipFile(fileobj=file, mode="rb")


def save_index(view: Any, index: Path) -> None:
    """Write the seek index of a view that was read to its end; nothing without indexed_gzip."""
    export = getattr(view, "export_index", None)
    if export is None:
        return
    partial = index.with_suffix(".partial")
    with suppress(Exception):  # it only saves time
        export(filename=os.fspath(partial))
        os.replace(partial, index)


class PackedStreams:
    """Gzipped archives that are being read, several at once.

    Args:
        open_view: opens a path: the file, and the unpacked view of it.
    """

    def __init__(self, open_view: Callable[[str], tuple[IO[bytes], Any]]) -> None:
        self._open, self._lock = open_view, threading.Lock()
        self._streams: OrderedDict[tuple[int, str], _Stream] = OrderedDict()
        weakref.finalize(self, _close_all, self._streams)

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return the bytes of an unpacked archive from ``start`` on; fewer where it ends.

        Raises:
            OSError, EOFError, zlib.error: it cannot be read.
        """
        key = (os.getpid(), path)  # a child reads from its own
        with self._lock:
            stream = self._streams.get(key)
            if stream is None:
                stream = self._streams[key] = _Stream(partial(self._open, path))
            self._streams.move_to_end(key)
            old = [self._streams.popitem(last=False)[1] for _ in range(len(self._streams) - _MOST_OPEN)]
        for other in old:
            other.close()
        return stream.read(start, size)

    def close(self, path: str) -> None:
        """Forget an archive, which has changed."""
        with self._lock:
            stream = self._streams.pop((os.getpid(), path), None)
        if stream is not None:
            stream.close()


def _close_all(streams: OrderedDict[tuple[int, str], _Stream]) -> None:
    while streams:
        streams.popitem()[1].close()


class _Stream:
    """One archive: threads ask for members nearly in order, and each is unpacked once."""

    def __init__(self, open_view: Callable[[], tuple[IO[bytes], Any]]) -> None:
        self._open, self._lock = open_view, threading.Lock()
        self._file: IO[bytes] | None = None
        self._view: Any = None
        self._position = 0
        self._passed: deque[tuple[int, bytes]] = deque()
        self._held = 0

    def read(self, start: int, size: int) -> bytes:
        with self._lock:
            for place, data in self._passed:
                if place <= start and start + size <= place + len(data):
                    return data[start - place : start - place + size]
            if self._view is None:
                (self._file, self._view), self._position = self._open(), 0
                if start > SPACING:  # a seek index leads there
                    self._view.seek(start)
                    self._position = start
            if self._position < start <= self._position + HELD_BYTES // 4:
                self._keep(self._position, self._view.read(start - self._position))
            elif start != self._position:
                self._view.seek(start)
            data = bytes(self._view.read(size))
            self._position = start + len(data)
            return data

    def _keep(self, place: int, data: bytes) -> None:
        self._passed.append((place, data))
        self._held += len(data)
        while self._held > HELD_BYTES:
            self._held -= len(self._passed.popleft()[1])

    def close(self) -> None:
        with self._lock:
            if self._view is not None and self._file is not None:
                self._view.close()
                self._file.close()
            self._file, self._view, self._passed, self._held = None, None, deque(), 0
