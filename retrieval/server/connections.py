"""Close connections whose requests never arrive: somebody who sends a byte a minute shall hold nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 20.0
"""Until the head of a request has arrived, from its first byte; for the first one from the connection's beginning."""

HEAD_BYTES: Final = 128 << 10
"""Of the head of a request: its address and headers together. The last piece that arrives may be longer."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which waits for the head of a request for some time only, and keeps so much of it only."""

    _waiting: asyncio.TimerHandle | None = None
    _head: int | None = None
    """Bytes of a head that have arrived while it is not complete."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait from the first byte of a further request on."""
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._stop()
                self.send_400_response("The address and headers of the request are too long.")

    def on_message_begin(self) -> None:
        """Count from here; a request that is sent behind another begins here, too."""
        super().on_message_begin()
        self._head = 0
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Wait no longer: what comes now is bounded by others."""
        self._head = None
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.close()


def allow_many_connections() -> None:
    """Let this process have as many files and connections open as the system lets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems say more than they allow
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
