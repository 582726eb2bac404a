"""Run calls in threads, as many as the system starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from indexes.engine.process_limits import starting
from indexes.errors import SystemLimit


class ThreadPool(ThreadPoolExecutor):
    """Python's pool of threads, which goes on with those that it has where the system starts no more."""

    def _adjust_thread_count(self) -> None:
        """Start a thread for the call that was submitted last.

        Raises:
            SystemLimit: there is no thread yet, and none can be started; the call is forgotten.
        """
        try:
            with starting("thread"):
                super()._adjust_thread_count()
        except SystemLimit:
            if not self._threads:
                self._work_queue.get_nowait()  # a later thread would run what its caller was told has failed
                raise
