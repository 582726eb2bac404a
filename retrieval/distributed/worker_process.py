"""Start a process of this machine, and send it one call after the other; it answers until the other end closes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from contextlib import contextmanager, suppress
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Final

from indexes.engine import starting
from retrieval.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


END_SECONDS: Final = 5.0
"""Seconds within which a process has to end after it was asked to."""


class WorkerProcess:
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
            SystemLimit: no process can be started.
        """
        with self._lock:
            self.send(what)
            value, error = self.receive()
        if error is not None:
            raise error
        return value

    def send(self, what: tuple[Any, ...]) -> None:
        """Send a call to the process, which must be at no other one; starts it if need be.

        Raises:
            WorkerLost: the process has died, and does not restart.
        """
        pipe = self._started()
        data = ForkingPickler.dumps(what)
        with self._whole_message():
            pipe.send_bytes(data)

    def wait(self, timeout: float | None) -> None:
        """Wait until the answer to what was sent is there, or the process has died.

        Raises:
            TimeoutError: neither has happened in time.
            WorkerLost: the process had ended before.
        """
        pipe = self._pipe
        if pipe is None:
            raise WorkerLost(self._ended or "the process was closed")
        if timeout is not None and not pipe.poll(timeout):
            raise TimeoutError

    def receive(self) -> tuple[Any, BaseException | None]:
        """Return the answer to what was sent, or what was raised; waits for it.

        Raises:
            WorkerLost: the process has died over it.
        """
        pipe = self._pipe
        if pipe is None:
            raise WorkerLost(self._ended or "the process was closed")
        with self._whole_message():
            data = pipe.recv_bytes()
        answer: tuple[Any, BaseException | None] = ForkingPickler.loads(data)
        return answer

    @contextmanager
    def _whole_message(self) -> Iterator[None]:
        """Raise `WorkerLost` where the process has ended; end it where a message is left in the middle, as by Ctrl-C."""
        try:
            yield
        except (EOFError, OSError) as error:
            raise WorkerLost(self._lost()) from error
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the process at once, whatever it is at."""
        if self._process is not None:
            self._process.kill()
        self._lost()

    def _lost(self) -> str:
        """Forget the process, and return what to say of it."""
        ended = f"process {self.pid} has ended before it answered; what it committed is kept"
        if not self._restarts:
            self._ended = self._ended or ended
        self._forget()
        return ended

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
            try:
                with _environment(self._threads), starting("process"):
                    self._process.start()
            except BaseException:
                self._pipe.close()
                self._pipe = self._process = None  # one that was not started cannot be waited for
                raise
            finally:
                theirs.close()
        return self._pipe

    def _forget(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(END_SECONDS)
        self._pipe = self._process = None

    def close(self) -> None:
        """End the process; no other is started."""
        pipe, process = self._pipe, self._process
        self._ended = self._ended or "the process was closed"
        if pipe is None or process is None:
            return
        with suppress(OSError):
            pipe.send(None)
        process.join(END_SECONDS)
        if process.is_alive():
            process.kill()
        self._forget()


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
