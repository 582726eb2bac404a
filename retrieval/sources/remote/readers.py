"""Read files in several threads ahead of whoever takes them, in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from indexes.engine import ThreadPool
from retrieval.sources.remote.limits import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

HELD_BYTES = 128 << 20
"""Bytes that are read and not taken yet."""


def read_ahead(
    items: Iterable[T],
    read: Callable[[T], R],
    *,
    size_of: Callable[[T], int] = lambda _: 0,
    readers: int = READERS,
    most_bytes: int = HELD_BYTES,
) -> Iterator[tuple[T, R | Exception]]:
    """Yield each item with what reading it gave, in order.

    Args:
        items: taken only as they are needed.
        read: called in threads; what it raises is yielded in place of its result.
        size_of: bytes that an item will hold, as far as they are known.
        readers: threads, and at most twice as many items are held.
        most_bytes: that are held, unless one item alone has more.
    Raises:
        Exception: what ``items`` raises, after the results of the items before it.
    """
    waiting = iter(items)
    ahead: deque[tuple[T, int, Future[R | Exception]]] = deque()
    held = 0

    def attempt(item: T) -> R | Exception:
        try:
            return read(item)
        except Exception as error:  # noqa: BLE001 -- whoever takes the item judges
            return error

    broken: Exception | None = None
    pool = ThreadPool(readers, thread_name_prefix="retrieval-read")
    try:
        while True:
            while broken is None and len(ahead) < 2 * readers and (held < most_bytes or not ahead):
                try:
                    taken = list(islice(waiting, 1))
                except Exception as error:  # noqa: BLE001 -- raised behind what came before it
                    broken = error
                    break
                if not taken:
                    break
                size = size_of(taken[0])
                held += size
                ahead.append((taken[0], size, pool.submit(attempt, taken[0])))
            if not ahead:
                if broken is not None:
                    raise broken
                return
            item, size, result = ahead.popleft()
            held -= size
            yield item, result.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
