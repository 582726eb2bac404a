"""Let many threads share a resource, or one thread have it alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from indexes import forks
from indexes.errors import StoreClosed


class Gate:
    """Many may pass, or one alone: resizing the map ends every transaction of the process."""

    def __init__(self) -> None:
        self._lock = (
            threading.RLock()
        )  # the condition's own; without its methods, by which every read would come
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = False

    def enter(self) -> None:
        """Pass; wait while somebody is alone inside or about to be."""
        with self._lock:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def leave(self) -> None:
        """Come out again, on the same thread or another."""
        with self._lock:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    @contextlib.contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside, as between `enter` and `leave`; those cost less where it matters."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def shut(self, *, seconds: float | None = None) -> bool:
        """Wait until everybody has left, and keep the others out until `reopen`; say whether it was in time.

        Args:
            seconds: how long to wait for each; None for ever.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._closed, seconds):
                return False
            self._closed = True
            empty = False
            try:
                empty = self._changed.wait_for(lambda: self._inside == 0, seconds)
            finally:
                if not empty:  # too late, or interrupted: nobody may wait for ever
                    self._closed = False
                    self._changed.notify_all()
            return empty

    def reopen(self) -> None:
        """Let the others in again."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until everybody has left, and keep the others out meanwhile."""
        self.shut()
        try:
            yield
        finally:
            self.reopen()


class Lease:
    """Counts who uses a thing; closing it waits for them, and whoever comes later is refused.

    A forked child has none of the parent's other threads, so there nobody uses it. Every search takes it several times, so
    who comes and goes takes no lock: each thread writes its own count first and looks then whether the thing is closed,
    and `close` says first that it is and looks then who is counted.

    Args:
        closed: the message for whoever comes too late.
    """

    def __init__(self, closed: str) -> None:
        self._message = closed
        self._changed = threading.Condition()
        self._users: dict[int, int] = {}  # by thread
        self._closed = False
        forks.after_fork(self, Lease._forked)

    def __enter__(self) -> None:
        own, users = threading.get_ident(), self._users
        users[own] = users.get(own, 0) + 1
        if self._closed:
            self.__exit__()
            raise StoreClosed(self._message)

    def __exit__(self, *_error: object) -> None:
        own, users = threading.get_ident(), self._users
        left = users.get(own, 0) - 1
        if left:
            users[own] = left
        else:
            users.pop(own, None)
        if self._closed:
            with self._changed:
                self._changed.notify_all()

    def require_open(self) -> None:
        """Refuse what comes too late.

        Raises:
            StoreClosed: it is closed, or about to be.
        """
        if self._closed:
            raise StoreClosed(self._message)

    def close(self) -> bool:
        """Refuse newcomers and wait until no other thread uses it; say whether it was this call that closed it."""
        own = threading.get_ident()  # a signal's handler may close what its thread is using
        with self._changed:
            first, self._closed = not self._closed, True
            self._changed.wait_for(lambda: not self._users.keys() - {own})
            return first

    def _forked(self) -> None:
        own = threading.get_ident()
        self._changed = threading.Condition()
        self._users = {own: self._users[own]} if own in self._users else {}
