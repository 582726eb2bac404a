"""Let a process fork at any time: locks and OpenMP threads that are safe in the child.

A forked child has one thread. A lock that another thread held stays locked there for ever, and OpenMP waits there for
threads that stayed with the parent. So locks here are made anew in the child, and the thread that forks ends its
OpenMP threads first: parent and child start new ones with their next parallel region.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar

_USERS_OF_OPENMP: Final = ("faiss", "torch", "sklearn", "cv2")
"""Modules that bring an OpenMP runtime of their own along; only where one is loaded is there anything to end."""

_HARD: Final = 2
"""``omp_pause_hard``: end the threads and forget everything about them."""

_libraries: dict[str, Any] = {}
_mended: dict[int, tuple[weakref.ref[Any], Callable[[Any], object]]] = {}
_numbers = itertools.count()

T = TypeVar("T")


class Unshared:
    """Refuse to be copied or pickled: a copy would share the open files of the first one, and close them."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse.

        Raises:
            TypeError: always; the message says what to pass instead.
        """
        raise TypeError(
            f"{type(self).__name__} holds open files, so it cannot be copied or sent to another process; "
            "send the path, and open it there"
        )


class Lock:
    """A mutual exclusion that a forked child finds free; a context manager, and copied or pickled as a new one."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        after_fork(self, Lock.renew)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # the child of a fork within the block: its lock is a new one
            self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        return Lock, ()

    def renew(self) -> None:
        """Become free, whoever held it in the parent."""
        self._lock = threading.Lock()


def after_fork(thing: T, mend: Callable[[T], object]) -> None:
    """Have ``mend(thing)`` called in every forked child, as long as ``thing`` lives.

    Args:
        thing: compared by identity; not kept alive.
        mend: a function, not a method of ``thing``, which would keep it alive.
    """
    number = next(_numbers)
    _mended[number] = weakref.ref(thing, lambda _: _mended.pop(number, None)), mend


def _end_openmp_threads() -> None:
    """End the calling thread's OpenMP threads: a child would wait for them (GNU's runtime; LLVM's sees to it itself)."""
    if not any(name in sys.modules for name in _USERS_OF_OPENMP):
        return
    with suppress(OSError), Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        loaded = {line.rstrip("\n")[73:] for line in maps if "libgomp" in line}
        for path in loaded:
            if path not in _libraries:
                # By the path that is loaded already, so that it is that copy and not another one.
                _libraries[path] = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
            if _libraries[path] is not None:
                _libraries[path](_HARD)


def _mend() -> None:
    for reference, mend in list(_mended.values()):
        thing = reference()
        if thing is not None:
            mend(thing)


os.register_at_fork(before=_end_openmp_threads, after_in_child=_mend)
