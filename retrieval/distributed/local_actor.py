"""Keep an object in a process of this machine; whoever waits for an answer reads it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from retrieval.distributed.worker_process import END_SECONDS, WorkerProcess
from retrieval.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Asked:
    """The answer to a call of an object: read by the thread that waits for it, so that no other one has to wake up in between."""

    def __init__(self, actor: LocalActor, what: tuple[Any, ...]) -> None:
        self._actor, self.what = actor, what
        self.is_done = False
        self._value: Any = None
        self._error: BaseException | None = None

    def put(self, value: Any = None, error: BaseException | None = None) -> None:
        """Give the answer, or what was raised; the first one counts."""
        if not self.is_done:
            self._value, self._error = value, error
            self.is_done = True

    def get(self, timeout: float | None = None) -> Any:
        """Wait for it."""
        if not self.is_done:
            self._actor.wait_for(self, timeout)
        if self._error is not None:
            raise self._error
        return self._value


class LocalActor:
    """An object in a process of its own.

    The process is sent one call after the other: the next one when the answer to the one before has been read, by whichever thread waits.
    So neither side ever waits for the other to read.
    """

    def __init__(self, factory: Callable[..., Any], args: tuple[Any, ...], *, threads: int) -> None:
        self._worker = WorkerProcess(threads=threads, restarts=False)
        self._is_closed, self._owner = False, os.getpid()
        self._changing, self._reading = threading.Lock(), threading.Lock()
        self._calls: deque[_Asked] = deque()  # without an answer; the first one has been sent
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

    def _put(self, what: tuple[Any, ...]) -> _Asked:
        asked = _Asked(self, what)
        if os.getpid() != self._owner:
            asked.put(
                error=WorkerLost("the process of this object belongs to the one that this was forked from")
            )
            return asked
        with self._changing:
            if self._is_closed:
                asked.put(error=WorkerLost("the process of this object was closed"))
            else:
                with self._whole():
                    self._calls.append(asked)
                    if len(self._calls) == 1:
                        self._send_first()
        return asked

    def _send_first(self) -> None:
        """Send the call that is first now, or the first that can be sent; the caller holds ``_changing``."""
        while self._calls:
            try:
                self._worker.send(self._calls[0].what)
                return
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
                self._calls.popleft().put(error=error)

    def wait_for(self, asked: _Asked, timeout: float | None) -> None:
        """Read answers until a call has its own.

        Raises:
            WorkerLost: it is not there in time.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        while not asked.is_done:
            left = None if ends is None else max(0.0, ends - time.monotonic())
            if self._reading.acquire(timeout=-1 if left is None else left):
                try:
                    if asked.is_done:
                        return
                    self._read(left)
                    continue
                except TimeoutError:
                    pass
                finally:
                    self._reading.release()
            if not asked.is_done:
                raise WorkerLost(f"process {self._worker.pid} has not answered within {timeout:g} s")

    def _read(self, timeout: float | None) -> None:
        """Read the answer to the call that was sent, and send the next one; the caller holds ``_reading``."""
        value, error = None, None
        with suppress(WorkerLost):  # which `receive` says, too
            self._worker.wait(timeout)  # an interrupt leaves everything as it was
        with self._whole():
            try:
                value, error = self._worker.receive()
            except Exception as raised:  # noqa: BLE001 - whoever waits for the answer gets it
                error = raised
            with self._changing:
                self._calls[0].put(value, error)
                self._calls.popleft()
                self._send_first()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """End the process if the block is interrupted: nobody would know which answer belongs to which call."""
        try:
            yield
        except BaseException:
            self._worker.end()
            raise

    def ask(self, method: str, /, *args: Any, **options: Any) -> _Asked:
        """Call a method."""
        return self._put(("ask", method, args, options))

    def close(self) -> None:
        """End the process; calls that were asked are answered before, within a while, and one that comes later by `WorkerLost`."""
        if os.getpid() != self._owner:
            return
        with self._changing:
            self._is_closed = True
            last = self._calls[-1] if self._calls else None
        if last is not None:
            with suppress(WorkerLost):
                self.wait_for(last, END_SECONDS)
        self._worker.close()
