"""Bound the memory of all threads that decode images: large images wait for their turn."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from indexes import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRIMMED = 16 << 20  # bytes; after as many were held, what was freed goes back to the system


class Budget:
    """A number of bytes that threads share; whoever asks first gets first, so that nobody waits for ever.

    One who asks for more than there is gets everything, alone. A thread that holds a part already does not wait for
    another one, so it cannot block itself.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._reset()
        forks.after_fork(self, Budget._reset)

    def _reset(self) -> None:
        """Start anew; in a forked child no thread of the parent lives on to give its part back."""
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._held = 0
        self._mine = threading.local()

    @property
    def held(self) -> int:
        """Return how many bytes are taken now."""
        return self._held

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Take ``size`` bytes until the block ends, or until the thread's `kept` block does."""
        mine = self._mine
        if getattr(mine, "size", 0):
            yield
            return
        mine.size = self._take(min(max(size, 1), self.capacity))
        try:
            yield
        finally:
            if not getattr(mine, "kept", False):
                self._give_back(mine)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let what this thread takes inside the block stay taken until the block ends."""
        mine = self._mine
        if getattr(mine, "kept", False):
            yield
            return
        mine.kept = True
        try:
            yield
        finally:
            mine.kept = False
            self._give_back(mine)

    def _take(self, size: int) -> int:
        with self._changed:
            ticket = object()
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._held + size > self.capacity:
                    self._changed.wait()
                self._held += size
            finally:  # also when the wait is interrupted
                self._waiting.remove(ticket)
                self._changed.notify_all()
        return size

    def _give_back(self, mine: threading.local) -> None:
        size, mine.size = getattr(mine, "size", 0), 0
        if size >= _TRIMMED:
            _trim()
        if size and mine is self._mine:  # in a child that was forked in between, all was given back already
            with self._changed:
                self._held -= size
                self._changed.notify_all()


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None


def _trim() -> None:
    """Have the C library give freed memory back: it keeps an arena for each thread, and freed images in all of them."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


DECODED_BYTES = Budget(256 << 20)
"""What all threads together may hold of decoded images."""

FILE_BYTES = Budget(64 << 20)
"""What all threads of a build together may hold of files that wait to be decoded."""
