"""Define `Service`: what the routes share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from retrieval.server.api.collections import Searches
from retrieval.server.api.images import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from retrieval.server import Catalogue, Served, Settings
    from retrieval.server.scheduling import Scheduler

T = TypeVar("T")

_REMEMBERED: Final = 64


@dataclass(slots=True, kw_only=True)
class Service:
    """What the routes share.

    Attributes:
        settings: of the server.
        catalogue: the collections.
        scheduler: runs searches and other work.
        thumbnails: made and kept.
        searches: for duplicates, under way.
        maps: files of maps by the collections that they show.
        fetch: reads what lies at a public address; None where no URLs are fetched.
        ready: the encoders are warm.
    """

    settings: Settings
    catalogue: Catalogue
    scheduler: Scheduler
    thumbnails: Thumbnails = field(init=False)
    searches: Searches = field(default_factory=Searches)
    maps: Mapping[str, Path] = field(default_factory=dict)
    fetch: Callable[[str], bytes] | None = None
    ready: bool = False

    _remembered: OrderedDict[tuple[str, str, tuple[int, int], str], Any] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.thumbnails = Thumbnails(self.settings.limits)

    async def together(self, calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
        """Return what some calls give, in their order; a few at a time, so that one request does not fill the queues."""
        few = asyncio.Semaphore(self.settings.batching.batch)

        async def one(call: Callable[[], Awaitable[T]]) -> T:
            async with few:
                return await call()

        return await asyncio.gather(*map(one, calls))

    async def remembered(
        self, what: str, served: Served, about: str, function: Callable[[Served, str], Any]
    ) -> Any:
        """Return what a function finds out of a generation, which is asked for again and again and does not change.

        Args:
            what: the function's own word.
            served: the generation.
            about: what of it.
            function: called in a thread.
        """
        key = (what, served.name, served.version, about)
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        found = await self.scheduler.run(function, served, about)
        self._remembered[key] = found
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return found
