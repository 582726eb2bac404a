"""Count requests, seconds and hits for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

__all__ = ["Metrics"]


class Metrics:
    """The numbers of one server, in a registry of their own."""

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
            registry=registry,
        )
        self._hits = Counter(
            "retrieval_hits", "Hits found, by collection.", ("collection",), registry=registry
        )
        self._generation = Gauge(
            "retrieval_generation",
            "The generation that answers, by collection.",
            ("collection",),
            registry=registry,
        )

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the pattern that the path matched, never the path itself."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def hits(self, collection: str, count: int) -> None:
        """Count the hits of an answer."""
        self._hits.labels(collection).inc(count)

    def generation(self, collection: str, number: int) -> None:
        """Tell which generation answers for a collection."""
        self._generation.labels(collection).set(number)

    def exposition(self) -> tuple[bytes, str]:
        """Return what `/metrics` answers, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
