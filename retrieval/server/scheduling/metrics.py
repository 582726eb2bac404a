"""Count requests, seconds, queues, batches and hits for Prometheus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder through which several worker processes add up their numbers."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The numbers of one server, in a registry of their own.

    With several worker processes each writes into the folder that `SHARED` names, and any of them tells the sums.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "retrieval_requests",
            "Requests answered, by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "retrieval_request_seconds",
            "Seconds from a request to the end of its answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue = Gauge(
            "retrieval_queue_length",
            "Work that waits, by kind.",
            ("lane",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._batches = Histogram(
            "retrieval_batch_size",
            "Queries or pieces of work that ran together, by kind.",
            ("lane",),
            buckets=_SIZES,
            registry=registry,
        )
        self._not_answered = Counter(
            "retrieval_not_answered",
            "Work that had no answer, by kind and reason: busy (the queue was full), late (its time was over).",
            ("lane", "reason"),
            registry=registry,
        )
        self._disconnects = Counter(
            "retrieval_disconnected_requests",
            "Requests that were stopped because their client left.",
            registry=registry,
        )
        self._hits = Counter(
            "retrieval_hits", "Hits found, by collection.", ("collection",), registry=registry
        )
        self._generation = Gauge(
            "retrieval_generation",
            "The generation that answers, by collection.",
            ("collection",),
            multiprocess_mode="max",
            registry=registry,
        )
        if SHARED not in os.environ:
            ProcessCollector(registry=registry)
        self._by_answer: dict[tuple[str, str, int], Callable[[], None]] = {}
        self._by_route: dict[str, Callable[[float], None]] = {}
        self._by_collection: dict[str, Callable[[float], None]] = {}

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: the pattern that the path matched, never the path itself: each new one takes memory for ever.
            method: ``GET``, ``POST`` …; one of few.
            status: of the answer.
            seconds: that it took.
        """
        count = self._by_answer.get((route, method, status))
        if count is None:  # looked up once: to find a child by its labels takes longer than to count
            count = self._requests.labels(route, method, str(status)).inc
            self._by_answer[route, method, status] = count
        count()
        time = self._by_route.get(route)
        if time is None:
            time = self._by_route[route] = self._seconds.labels(route).observe
        time(seconds)

    def hits(self, collection: str, count: int) -> None:
        """Count the hits of an answer."""
        add = self._by_collection.get(collection)
        if add is None:
            add = self._by_collection[collection] = self._hits.labels(collection).inc
        add(count)

    def generation(self, collection: str, number: int) -> None:
        """Tell which generation answers for a collection."""
        self._generation.labels(collection).set(number)

    def disconnected(self) -> None:
        """Count a request whose client left before it had its answer."""
        self._disconnects.inc()

    def lane(self, name: str) -> LaneMetrics:
        """Return what counts one kind of work."""
        return LaneMetrics(
            queue_length=self._queue.labels(name).set,
            batch_size=self._batches.labels(name).observe,
            refused=self._not_answered.labels(name, "busy").inc,
            late=self._not_answered.labels(name, "late").inc,
        )

    def exposition(self) -> tuple[bytes, str]:
        """Return what `/metrics` answers, and its content type."""
        if SHARED not in os.environ:
            return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together), CONTENT_TYPE_PLAIN_0_0_4


class LaneMetrics:
    """What counts one kind of work: functions without a look-up."""

    __slots__ = ("batch_size", "late", "queue_length", "refused")

    def __init__(
        self,
        *,
        queue_length: Callable[[float], None],
        batch_size: Callable[[float], None],
        refused: Callable[[], None],
        late: Callable[[], None],
    ) -> None:
        self.queue_length, self.batch_size, self.refused, self.late = queue_length, batch_size, refused, late
