"""Run searches and other work in threads, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from retrieval.server.scheduling.metrics import Metrics
from retrieval.server.scheduling.refusals import Late

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrieval.collection import Collection
    from retrieval.collection.answers import Hits
    from retrieval.server import Batching

__all__ = ["Scheduler"]

R = TypeVar("R")


class _Served(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def collection(self) -> Collection: ...


class Scheduler:
    """Runs searches and other work in a few threads.

    Args:
        settings: sizes and times.
    """

    def __init__(self, settings: Batching) -> None:
        self._within = settings.timeout
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="retrieval")
        self.metrics = Metrics()

    async def search(self, served: _Served, query: Any, **options: Any) -> Hits:
        """Search a collection; takes and raises what `Collection.search` does.

        Raises:
            Busy: too many wait.
            Late: it takes too long.
        """
        hits: Hits = await self.run(lambda: served.collection.search(query, **options))
        self.metrics.hits(served.name, len(hits))
        return hits

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a thread; raises what it raises, and `Busy` and `Late`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._within):
                return await loop.run_in_executor(self._pool, function, *args)
        except TimeoutError as error:
            raise Late(
                f"there is no answer after {self._within:g} seconds; ask for less at a time"
            ) from error

    async def close(self) -> None:
        """Wait for what runs."""
        await asyncio.to_thread(self._pool.shutdown)
