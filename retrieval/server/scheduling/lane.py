"""Queue work of one kind, gather what waits into batches, and run these in a few threads."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from indexes.engine import ThreadPool
from indexes.errors import SystemLimit
from retrieval.server.scheduling.refusals import Busy, Late

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from retrieval.server.scheduling.metrics import LaneMetrics

T = TypeVar("T")
R = TypeVar("R")

_LONGEST_ADVICE: Final = 60
"""Seconds that a client is told to wait at most."""


class Lane(Generic[T, R]):
    """Work of one kind: a bounded queue, and a few threads that take batches from it.

    Work that arrives while nothing runs starts at once. What arrives meanwhile waits, and starts together as soon as the
    batch before it ends. If that takes longer than `longest_wait`, another thread starts. So batches grow with the load, and
    an idle server waits for nothing.

    All methods are called in the thread of one event loop.

    Args:
        name: what metrics and messages call it.
        answer: called in a thread with items of equal keys, gives a result or an exception for each.
        threads: batches that run at once, at most.
        together: items in a batch, at most.
        queue: items that wait, at most.
        longest_wait: seconds that an item waits for a running batch to end, while a thread is free.
        metrics: told of queue lengths and batches.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        threads: int,
        together: int,
        queue: int,
        longest_wait: float,
        metrics: LaneMetrics,
    ) -> None:
        self.name = name
        self._answer = answer
        self._threads, self._together, self._queue = threads, together, queue
        self._longest_wait = longest_wait
        self._metrics = metrics
        self._pool = ThreadPool(threads, thread_name_prefix=f"retrieval-{name}")
        self._waiting: deque[_Job[T, R]] = deque()
        self._running = 0
        self._looks = False  # a look at the queue is due in this turn of the loop
        self._timer: asyncio.TimerHandle | None = None
        self._seconds_an_item = 0.0
        self._closed = False
        self._ended: asyncio.Event | None = None

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    async def run(self, item: T, *, key: Hashable, within: float) -> R:
        """Return what `answer` gives for an item.

        Args:
            item: passed to `answer`.
            key: items of equal keys may share a batch.
            within: seconds after which nobody waits for it any more.
        Raises:
            Busy: the queue is full, or closed.
            Late: `within` is over.
            Exception: the one that `answer` gives.
        """
        if self._closed:
            raise Busy("the server is stopping; ask again, it may be started anew")
        if len(self._waiting) >= self._queue:
            self._metrics.refused()
            raise Busy(
                f"{len(self._waiting)} requests wait already, as many as may; try again later",
                retry_after=self._advice(),
            )
        loop = asyncio.get_running_loop()
        job: _Job[T, R] = _Job(item, key, loop.create_future(), loop.time())
        self._waiting.append(job)
        self._metrics.queue_length(len(self._waiting))
        if not self._looks:
            self._looks = True
            loop.call_soon(self._look)  # what else arrives in this turn joins
        timer = loop.call_later(within, _expire, job, within)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._leave(job)
            raise
        except Late:
            self._leave(job)
            self._metrics.late()
            raise
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Refuse new items, and return when all others have been answered."""
        self._closed = True
        if self._waiting or self._running:
            self._ended = asyncio.Event()
            await self._ended.wait()
        self._pool.shutdown(wait=True)

    def _leave(self, job: _Job[T, R]) -> None:
        """Forget a job that nobody waits for any more; one that runs ends by itself."""
        job.left = True
        if not job.started:
            self._waiting.remove(job)
            self._metrics.queue_length(len(self._waiting))
            self._note_end()

    def _look(self) -> None:
        """Start what may start."""
        self._looks = False
        loop = asyncio.get_running_loop()
        while self._waiting and self._running < self._threads:
            if self._running:
                wait = self._waiting[0].since + self._longest_wait - loop.time()
                if wait > 0:
                    if self._timer is None:
                        self._timer = loop.call_later(wait, self._wake)
                    return
            self._start(loop)

    def _wake(self) -> None:
        self._timer = None
        self._look()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch with the item that has waited longest, and those like it."""
        key = self._waiting[0].key
        batch: list[_Job[T, R]] = []
        others: deque[_Job[T, R]] = deque()
        while self._waiting and len(batch) < self._together:
            job = self._waiting.popleft()
            (batch if job.key == key else others).append(job)
        self._waiting.extendleft(reversed(others))
        for job in batch:
            job.started = True
        self._running += 1
        self._metrics.queue_length(len(self._waiting))
        self._metrics.batch_size(len(batch))
        try:
            self._pool.submit(self._work, batch, loop)
        except SystemLimit as error:
            loop.call_soon(self._finish, batch, [error] * len(batch), loop.time())

    def _work(self, batch: list[_Job[T, R]], loop: asyncio.AbstractEventLoop) -> None:
        """Answer a batch, in a thread."""
        wanted = [job for job in batch if not job.left]
        found: Sequence[R | BaseException] = ()
        if wanted:
            try:
                found = self._answer([job.item for job in wanted])
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
                found = [error] * len(wanted)
        loop.call_soon_threadsafe(self._finish, wanted, found, loop.time())

    def _finish(self, batch: list[_Job[T, R]], found: Sequence[R | BaseException], ended: float) -> None:
        self._running -= 1
        if batch:
            pace = (ended - min(job.since for job in batch)) / len(batch)
            self._seconds_an_item += 0.2 * (pace - self._seconds_an_item)
        for job, one in zip(batch, found, strict=True):
            if job.future.done():
                continue
            if isinstance(one, BaseException):
                job.future.set_exception(_raisable(one))
            else:
                job.future.set_result(one)
        self._look()
        self._note_end()

    def _note_end(self) -> None:
        if self._ended is not None and not self._waiting and not self._running:
            self._ended.set()

    def _advice(self) -> int:
        """Return the seconds after which half of the queue has probably been answered."""
        half = self._seconds_an_item * len(self._waiting) / 2
        return min(_LONGEST_ADVICE, max(1, math.ceil(half)))


class _Job(Generic[T, R]):
    """An item that somebody waits for."""

    __slots__ = ("future", "item", "key", "left", "since", "started")

    def __init__(self, item: T, key: Hashable, future: asyncio.Future[R], since: float) -> None:
        self.item, self.key, self.future, self.since = item, key, future, since
        self.started = False
        self.left = False


def _expire(job: _Job[Any, Any], within: float) -> None:
    if not job.future.done():
        job.future.set_exception(Late(f"there is no answer after {within:g} seconds; ask for less at a time"))


def _raisable(error: BaseException) -> BaseException:
    """Return an error that a future takes: it refuses `StopIteration`, and hands `SystemExit` to the loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = RuntimeError(f"{type(error).__name__}: {error}")
    told.__cause__ = error
    return told
