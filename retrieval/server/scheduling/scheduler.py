"""Run the searches of many clients together, and other work in bounded threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from retrieval.collection.queries import Query, as_minus, as_query, text
from retrieval.server.scheduling.lane import Lane
from retrieval.server.scheduling.metrics import Metrics

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.collection.answers import Hits
    from retrieval.server import Batching

R = TypeVar("R")


class Served(Protocol):
    """What is searched: a collection that may be shared among threads."""

    @property
    def name(self) -> str:
        """What requests call it."""
        ...

    @property
    def collection(self) -> Collection:
        """The collection, open."""
        ...


class Scheduler:
    """Batches, queues and threads of one server process.

    There are three queues, so that one kind of work does not hold up another: searches that decode images, because they have
    one or compare their hits with one; all other searches; and other work, such as thumbnails.

    Args:
        settings: sizes and times.
    """

    def __init__(self, settings: Batching) -> None:
        self.metrics = Metrics()
        self._seconds = settings.timeout

        def lane(name: str, answer: Any, **of_its_own: Any) -> Lane[Any, Any]:
            usual = {
                "threads": settings.threads,
                "together": settings.batch,
                "queue": settings.queue,
                "longest_wait": settings.batch_wait,
                "metrics": self.metrics.lane(name),
            }
            return Lane(name, answer, **{**usual, **of_its_own})

        self._searches: Lane[_Search, Hits] = lane("search", _answers)
        self._images: Lane[_Search, Hits] = lane("image-search", _answers)
        self._work: Lane[Callable[[], Any], Any] = lane("work", _results, together=1, longest_wait=0.0)

    async def search(
        self,
        served: Served,
        query: Any,
        *,
        within: float | None = None,
        **options: Any,
    ) -> Hits:
        """Answer one query, together with others that ask the same collection with equal options.

        A query that is cancelled leaves the queue; one that runs already ends by itself, and nobody waits for it.

        Args:
            served: what is searched.
            query: as `Collection.search` takes it, but no batch.
            within: seconds until it is given up; None for the server's limit.
            options: those of `Collection.search`.
        Raises:
            Busy: the queue is full; ask again later.
            Late: its time is over.
            RetrievalError: what `Collection.search` raises.
        """
        asked = _Search(served.collection, query, options)
        lane = self._images if asked.has_image else self._searches
        hits = await lane.run(asked, key=asked.key, within=self._seconds if within is None else within)
        self.metrics.hits(served.name, len(hits))
        return hits

    async def run(self, function: Callable[..., R], *arguments: Any, within: float | None = None) -> R:
        """Call a function in one of a few threads: decoding, files, whatever else must not hold up the event loop.

        Raises:
            Busy: as much work waits as may.
            Late: its time is over. The function ends by itself.
            Exception: what it raises.
        """
        work = partial(function, *arguments)
        found: R = await self._work.run(work, key=None, within=self._seconds if within is None else within)
        return found

    async def close(self) -> None:
        """Refuse new work, and return when all that was begun or waits has ended."""
        await asyncio.gather(self._searches.close(), self._images.close(), self._work.close())


class _Search:
    """One query on its way, with what decides who shares its batch."""

    __slots__ = ("collection", "has_image", "key", "options", "query")

    def __init__(self, collection: Collection, query: Any, options: dict[str, Any]) -> None:
        asked: Query = text(query) if isinstance(query, str) else as_query(query)
        for away in as_minus(
            options.pop("minus", ())
        ):  # each has its own, and they shall share batches all the same
            asked -= away
        self.collection, self.query, self.options = collection, asked, options
        self.has_image = bool(options.get("verify")) or any(term.kind == "image" for term in asked.terms)
        self.key = _key(collection, options)


def _key(collection: Collection, options: dict[str, Any]) -> Hashable:
    """Return what queries that may share a batch have in common; where options cannot be compared, a key of its own."""
    values = tuple(
        (name, type(value), tuple(value) if isinstance(value, list) else value)
        for name, value in sorted(options.items())
    )
    try:
        hash(values)
    except TypeError:
        return object()
    return id(collection), values


def _answers(searches: Sequence[_Search]) -> list[Hits | BaseException]:
    """Answer queries that share collection and options; each has its own error."""
    first = searches[0]
    if len(searches) > 1:
        try:
            found = first.collection.search([one.query for one in searches], **first.options)
        except Exception:  # noqa: BLE001 - of one of them, perhaps: it must not fail the others
            return [answer for one in searches for answer in _answers([one])]
        return [hits if hits.error is None else hits.error for hits in found]
    try:
        return [first.collection.search(first.query, **first.options)]
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
        return [error]


def _results(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [call() for call in calls]
