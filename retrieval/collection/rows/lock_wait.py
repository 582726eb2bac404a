"""Wait for the writer's lock of a collection, as long as the caller allows."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from indexes.errors import value_text
from retrieval.errors import CollectionLocked, OptionError, StoreLocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexes.store import WriterLock

TIMEOUT = 30.0
"""Seconds that a call waits for another writer."""

_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two looks

_HOLDERS: dict[str, tuple[int, int]] = {}
"""The process and thread that hold the lock of a directory in this process."""


@contextmanager
def waiting_writer(directory: Path, *, timeout: float) -> Iterator[WriterLock]:
    """Hold the writer's lock of a collection; wait for it if somebody else holds it.

    Args:
        directory: the collection's.
        timeout: seconds to wait; 0 takes it now or not at all.
    Raises:
        CollectionLocked: somebody else still writes; or this very thread does, which would wait for itself.
        OptionError: ``timeout`` is negative or no number.
        StoreReadOnly, StoreFull: the lock's file cannot be written.
    """
    wait = _seconds(timeout)
    with ExitStack() as stack:
        lock = _acquired(stack, directory, wait)
        name = os.path.realpath(directory)
        _HOLDERS[name] = os.getpid(), threading.get_ident()
        stack.callback(_HOLDERS.pop, name, None)
        yield lock


def _acquired(stack: ExitStack, directory: Path, wait: float) -> WriterLock:
    from retrieval.collection import writer

    deadline, pause = time.monotonic() + wait, _SHORTEST
    while True:
        try:
            return stack.enter_context(writer(directory))
        except StoreLocked as error:
            left = deadline - time.monotonic()
            if _HOLDERS.get(os.path.realpath(directory)) == (os.getpid(), threading.get_ident()):
                raise CollectionLocked(
                    f"{directory}: this thread holds the collection's `writer` already; call the writer's own methods, or end "
                    "its block first",
                    pid=os.getpid(),
                ) from error
            if left <= 0:
                waited = f" (waited {wait:g} s)" if wait else ""
                raise CollectionLocked(f"{error}{waited}", pid=error.pid) from error
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST)


def _seconds(timeout: float) -> float:
    try:
        wait = float(timeout)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"timeout is {value_text(timeout)}; it must be a number of seconds, at least 0"
        ) from error
    if math.isnan(wait) or wait < 0:
        raise OptionError(f"timeout is {timeout}; it must be a number of seconds, at least 0")
    return wait
