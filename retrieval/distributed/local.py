"""Run functions and keep objects in processes of this machine.

Each process is started anew (spawned), so that it has no threads and no files of this one. One that dies loses the call that it
was at; the next call gets another process. An object is lost with its process: every later call says so.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from indexes.derivation import available_memory
from indexes.engine import allowed_cores
from retrieval.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

_END_SECONDS = 5.0  # a process has to end after it was asked to
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


class _Worker:
    """One process, asked one call after the other.

    Args:
        threads: that it may use.
        place: among others, as `_serve` takes it.
        restarts: another process takes its place once it is lost.
    """

    def __init__(self, *, threads: int, place: int | None = None, restarts: bool = True) -> None:
        self._restarts = restarts
        self._ended = ""  # why no process may be started any more
        self._threads, self._place = threads, place
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None where it is not running."""
        return None if self._process is None else self._process.pid

    def call(self, what: tuple[Any, ...]) -> Any:
        """Send a call and wait for its answer; starts the process if need be.

        Raises:
            WorkerLost: the process has died over it, or before and it does not restart.
        """
        with self._lock:
            pipe = self._started()
            try:
                pipe.send(what)
                value, error = pipe.recv()
            except (EOFError, OSError) as lost:
                ended = f"process {self.pid} has ended before it answered; what it committed is kept"
                if not self._restarts:
                    self._ended = ended
                self._forget()
                raise WorkerLost(ended) from lost
        if error is not None:
            raise error
        return value

    def start(self) -> None:
        """Start the process."""
        with self._lock:
            self._started()

    def _started(self) -> Connection:
        if self._ended:
            raise WorkerLost(self._ended)
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self._threads, self._place), daemon=True
            )
            with _environment(self._threads):
                self._process.start()
            theirs.close()
        return self._pipe

    def _forget(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(_END_SECONDS)
        self._pipe = self._process = None

    def close(self) -> None:
        """End the process; no other is started."""
        pipe, process = self._pipe, self._process
        self._ended = self._ended or "the process was closed"
        if pipe is None or process is None:
            return
        with suppress(OSError):
            pipe.send(None)
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()
        self._forget()


class _LocalActor:
    """An object in a process of its own."""

    def __init__(self, factory: Callable[..., Any], args: tuple[Any, ...], *, threads: int) -> None:
        self._worker = _Worker(threads=threads, restarts=False)
        self._closing, self._is_closed = threading.Lock(), False
        self._calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None] = queue.Queue()
        self._thread = threading.Thread(target=_work, args=(self._calls, self._worker), daemon=True)
        self._thread.start()
        try:
            self._put(("keep", factory, args)).get()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._worker.pid

    @property
    def is_closed(self) -> bool:
        """Its process was ended."""
        return self._is_closed

    def _put(self, what: tuple[Any, ...]) -> _Pending:
        pending = _Pending(f"process {self._worker.pid}")
        with self._closing:
            if self._is_closed:
                pending.put(error=WorkerLost("the process of this object was closed"))
            else:
                self._calls.put((pending, what))
        return pending

    def ask(self, method: str, /, *args: Any, **options: Any) -> _Pending:
        """Call a method."""
        return self._put(("ask", method, args, options))

    def close(self) -> None:
        """End the process; a call that comes later is answered by `WorkerLost` at once."""
        with self._closing:
            self._is_closed = True
            self._calls.put(None)
        self._thread.join(_END_SECONDS)
        self._worker.close()


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
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._actors: list[_LocalActor] = []
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
            worker = _Worker(threads=self._threads_each, place=len(self._workers))
            thread = threading.Thread(target=_begin, args=(self._calls, worker), daemon=True)
            self._workers.append(worker)
            self._threads.append(thread)
            thread.start()
        return pending

    def keep(self, factory: Callable[..., Any], /, *args: Any) -> _LocalActor:
        """Make an object in a process of its own."""
        actor = _LocalActor(factory, args, threads=self._threads_each)
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
            thread.join(_END_SECONDS)
        for worker in self._workers:
            worker.close()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _fitting() -> int:
    """Return for how many processes there are cores and memory."""
    free = available_memory()  # with what the system keeps of files, which it gives up when asked
    return max(1, min(allowed_cores(), allowed_cores() if free is None else free // _MEMORY))


def _begin(calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None], worker: _Worker) -> None:
    """Start a process before there is work for it, then hand calls to it."""
    with suppress(OSError):  # the first call says so
        worker.start()
    _work(calls, worker)


def _work(calls: queue.Queue[tuple[_Pending, tuple[Any, ...]] | None], worker: _Worker) -> None:
    """Hand one call after the other to a process, in a thread of this one."""
    while (call := calls.get()) is not None:
        pending, what = call
        try:
            pending.put(worker.call(what))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the answer gets it
            pending.put(error=error)


class _environment:  # noqa: N801 - used like a function
    """Let processes that are started within the block use a number of threads each."""

    _NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    _lock = threading.Lock()

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __enter__(self) -> None:
        self._lock.acquire()
        self._before = {name: os.environ.get(name) for name in self._NAMES}
        os.environ.update(dict.fromkeys(self._NAMES, str(self._threads)))

    def __exit__(self, *_error: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._lock.release()


def _serve(pipe: Connection, threads: int, place: int | None) -> None:
    """Answer calls until the other end closes: what a process does all its life.

    Args:
        pipe: to the process that asks.
        threads: that it may use.
        place: of a worker among others; each has cores of its own, so that no thread waits for one of another process.
    """
    if place is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[place * threads : (place + 1) * threads]
        if own:
            os.sched_setaffinity(0, own)
    kept: Any = None
    while True:
        try:
            what = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        if what is None:
            if kept is not None:
                kept.close()
            return
        try:
            value, error = None, None
            if what[0] == "call":
                value = what[1](*what[2])
            elif what[0] == "keep":
                kept = what[1](*what[2])
            else:
                value = getattr(kept, what[1])(*what[2], **what[3])
        except BaseException as raised:  # noqa: BLE001 - told where it was asked
            error = raised
        try:
            pipe.send((value, error))
        except (TypeError, AttributeError, ValueError) as raised:  # an error that does not pickle
            pipe.send((None, RuntimeError(f"{type(error or value).__name__}: {error or value} ({raised})")))
