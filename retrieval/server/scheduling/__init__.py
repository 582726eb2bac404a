"""Concurrent requests share the machine: batches, queues, deadlines, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.scheduling.metrics import Metrics
    from retrieval.server.scheduling.refusals import Busy, Late
    from retrieval.server.scheduling.scheduler import Scheduler

__all__ = ["Busy", "Late", "Metrics", "Scheduler"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__, {"metrics": ("Metrics",), "refusals": ("Busy", "Late"), "scheduler": ("Scheduler",)}
    )
