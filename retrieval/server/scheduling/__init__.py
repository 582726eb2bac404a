"""Queues, batches, threads and numbers of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.scheduling.disconnects import StopWhenDisconnected as StopWhenDisconnected
    from retrieval.server.scheduling.metrics import SHARED as SHARED, Metrics as Metrics
    from retrieval.server.scheduling.refusals import Busy as Busy, Late as Late
    from retrieval.server.scheduling.scheduler import Scheduler as Scheduler, Served as Served
    from retrieval.server.scheduling.threads import share_machine as share_machine

lazy(__name__)
