"""Run jobs that keep what they have done; one whose process has ended is run again, and goes on with that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrieval.distributed.protocol import Cluster

TRIES = 3
"""Times that a job is run before its worker is given up."""


def run_jobs(
    cluster: Cluster,
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    *,
    names: Sequence[str],
    lost: Callable[[str], None] = lambda _: None,
) -> list[Any]:
    """Run a function for each job, as many at a time as the cluster has workers.

    What a job has done lies in a directory of its own, whose manifest is the ledger. So a job that is run again does only what is
    left.

    Args:
        cluster: where they run.
        function: of a module.
        jobs: its arguments.
        names: of the jobs, for messages.
        lost: is told of each worker that was lost.
    Returns:
        what the function returned, in order.
    Raises:
        WorkerLost: a job has lost its worker `TRIES` times.
        whatever a job raises; jobs that run go on until they end.
    """
    waiting = [cluster.submit(function, job) for job in jobs]
    found: list[Any] = []
    first: BaseException | None = None
    for number, job in enumerate(jobs):
        for tried in range(1, TRIES + 1):
            try:
                found.append(waiting[number].get())
                break
            except WorkerLost as error:
                if tried == TRIES:
                    first = first or WorkerLost(f"{names[number]}: {error} ({TRIES} times)")
                    break
                lost(f"{names[number]}: {error}; it is run again")
                waiting[number] = cluster.submit(function, job)
            except Exception as error:  # noqa: BLE001 - raised when the others have ended
                first = first or error
                break
    if first is not None:
        raise first
    return found
