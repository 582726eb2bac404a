"""Run functions and keep objects in processes of this machine.

Each process is started anew (spawned), so that it has no threads and no files of this one. One that dies loses the call that it
was at; the next call gets another process. An object is lost with its process: every later call says so.
"""

from __future__ import annotations

import queue
import threading
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from indexes.derivation import available_memory
from indexes.engine import allowed_cores, starting
from retrieval.distributed.local_actor import LocalActor
from retrieval.distributed.worker_process import END_SECONDS, WorkerProcess
from retrieval.errors import SystemLimit, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable


_MEMORY = 1 << 30  # bytes that a worker is expected to need


class _Pending:
    """The answer to a call that a process is at, or will be."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def put(self, value: Any = None, error: BaseException | None = None) -> None:
        """Give the answer, or what was raised."""
        self._value, self._error = value, error
        self._done.set()

    @property
    def is_done(self) -> bool:
        """The answer is there."""
        return self._done.is_set()

    def get(self, timeout: float | None = None) -> Any:
        """Wait for it."""
        if not self._done.wait(timeout):
            raise WorkerLost(f"{self._name} has not answered within {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._value


class LocalCluster(AbstractContextManager["LocalCluster"]):
    """Processes of this machine.

    Args:
        workers: how many; None for as many as there are cores, and memory for.
    """

    is_here = False

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _fitting()
        self.name = f"local:{self.workers}"
        self._threads_each = max(1, allowed_cores() // self.workers)
        self._calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None] = queue.Queue()
        self._workers: list[WorkerProcess] = []
        self._threads: list[threading.Thread] = []
        self._actors: list[LocalActor] = []
        self._unanswered: list[_Pending] = []  # looked at while more processes may start

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        pids = [*(one.pid for one in self._workers), *(one.pid for one in self._actors)]
        return [pid for pid in pids if pid is not None]

    def submit(self, function: Callable[..., Any], /, *args: Any) -> _Pending:
        """Run a function in the next process that is free."""
        pending = _Pending(f"a process of {self.name}")
        self._calls.put((pending, ("call", function, args)))
        if len(self._workers) == self.workers:
            return pending
        # A process for each call that waits, without waiting for it: each takes about a second to start.
        self._unanswered = [*(one for one in self._unanswered if not one.is_done), pending]
        if len(self._unanswered) > len(self._workers):
            worker = WorkerProcess(threads=self._threads_each, place=len(self._workers))
            thread = threading.Thread(target=_begin, args=(self._calls, worker), daemon=True)
            try:
                with starting("thread"):
                    thread.start()
            except SystemLimit:
                if not self._workers:
                    raise
                return pending  # it waits for a process that runs
            self._workers.append(worker)
            self._threads.append(thread)
        return pending

    def keep(self, factory: Callable[..., Any], /, *args: Any) -> LocalActor:
        """Make an object in a process of its own."""
        actor = LocalActor(factory, args, threads=self._threads_each)
        self._actors = [*(one for one in self._actors if not one.is_closed), actor]
        return actor

    def everywhere(self, function: Callable[..., Any], /, *args: Any) -> dict[str, Any]:
        """Run a function in one process: all are of this machine."""
        return {self.name: self.submit(function, *args).get()}

    def close(self) -> None:
        """End all processes."""
        for _ in self._threads:
            self._calls.put(None)
        for actor in self._actors:
            actor.close()
        for thread in self._threads:
            thread.join(END_SECONDS)
        for worker in self._workers:
            worker.close()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _fitting() -> int:
    """Return for how many processes there are cores and memory."""
    free = available_memory()  # with what the system keeps of files, which it gives up when asked
    return max(1, min(allowed_cores(), allowed_cores() if free is None else free // _MEMORY))


def _begin(calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None], worker: WorkerProcess) -> None:
    """Start a process before there is work for it, then hand calls to it."""
    with suppress(OSError):  # the first call says so
        worker.start()
    _work(calls, worker)


def _work(calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None], worker: WorkerProcess) -> None:
    """Hand one call after the other to a process, in a thread of this one."""
    while (call := calls.get()) is not None:
        pending, what = call
        try:
            pending.put(worker.call(what))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the answer gets it
            pending.put(error=error)
