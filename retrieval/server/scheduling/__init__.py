"""Queues, batches, threads and numbers of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.scheduling.disconnects import StopWhenDisconnected
    from retrieval.server.scheduling.metrics import SHARED, Metrics
    from retrieval.server.scheduling.refusals import Busy, Late
    from retrieval.server.scheduling.scheduler import Scheduler, Served
    from retrieval.server.scheduling.threads import share_machine

__all__ = [
    "SHARED",
    "Busy",
    "Late",
    "Metrics",
    "Scheduler",
    "Served",
    "StopWhenDisconnected",
    "share_machine",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "disconnects": ("StopWhenDisconnected",),
            "metrics": ("SHARED", "Metrics"),
            "refusals": ("Busy", "Late"),
            "scheduler": ("Scheduler", "Served"),
            "threads": ("share_machine",),
        },
    )
