"""Try again what failed for a moment, with growing pauses, and stop asking hosts that are dead."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from retrieval.sources.remote.failures import failure, remote_error
from retrieval.sources.remote.urls import host_of

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_DEAD_AFTER = 8
"""Files of a host that could not be reached, one after the other, before it counts as dead."""

_DEAD_FOR = 60.0
"""Seconds until a dead host is asked again."""

_LONGEST_WAIT = 20.0
"""Seconds that a server may have us wait; longer, and the file is given up."""


class Attempts:
    """Call what may fail, several times; safe to use from several threads.

    Args:
        tries: how often at most.
        pause: seconds before the second try; doubled before each further one, with up to half of it at random besides.
        sleep: waits; tests give another.
    """

    def __init__(
        self, *, tries: int = 4, pause: float = 0.25, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._tries, self._pause, self._sleep = tries, pause, sleep
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[int, float]] = {}  # host → failures in a row, and when the last was

    def run(self, url: str, call: Callable[[], T]) -> T:
        """Return what a call gives.

        Args:
            url: what it reads.
            call: raises whatever the file system does.
        Raises:
            RemoteError: it failed for good, or each time.
        """
        host = host_of(url)
        self._require_alive(url, host)
        for number in range(self._tries):
            try:
                result = call()
            except Exception as error:
                failed = failure(url, error)
                wait = self._pause * 2**number * random.uniform(1.0, 1.5)
                wait = max(wait, failed.after or 0.0)
                if not failed.passing or number + 1 == self._tries or wait > _LONGEST_WAIT:
                    self._note(host, dead=failed.reason in ("timeout", "unreachable"))
                    raise failed from error
                self._sleep(wait)
            else:
                if self._failed:
                    self._note(host, dead=False)
                return result
        raise AssertionError  # the last try returns or raises

    def _require_alive(self, url: str, host: str) -> None:
        failures, last = self._failed.get(host, (0, 0.0))
        if failures >= _DEAD_AFTER and time.monotonic() - last < _DEAD_FOR:
            raise remote_error(
                url, "unreachable", f"was not asked for: {host} did not answer {failures} times in a row"
            )

    def _note(self, host: str, *, dead: bool) -> None:
        with self._lock:
            if dead:
                self._failed[host] = (self._failed.get(host, (0, 0.0))[0] + 1, time.monotonic())
            else:
                self._failed.pop(host, None)
