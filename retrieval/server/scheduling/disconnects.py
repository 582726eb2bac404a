"""Stop working for clients that have left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATIENCE: Final = 0.05
"""Seconds that a request runs before anybody looks whether its client is still there: most have ended by then."""


_WITHOUT_BODY: Final = ("GET", "HEAD")
"""Methods whose requests are whole when they begin: their bodies, if somebody sends one, mean nothing."""


class StopWhenDisconnected:
    """Middleware that cancels a request's task when its client leaves before the answer begins.

    Args:
        app: what is wrapped.
        told: called once for each request that was stopped.
    """

    def __init__(self, app: ASGIApp, *, told: Callable[[], None]) -> None:
        self._app, self._told = app, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the wrapped application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive, send, whole=scope["method"] in _WITHOUT_BODY)
        try:
            await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            if not watch.left:
                raise
            watch.task.uncancel()
            self._told()
        finally:
            watch.end()


class _Watch:
    """One request: what it has received and sent, and the look-out for the end of its connection."""

    __slots__ = ("_looking", "_receive", "_send", "_timer", "_whole", "left", "task")

    def __init__(self, receive: Receive, send: Send, *, whole: bool) -> None:
        self.task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # each request has one
        self.left = False
        self._receive, self._send = receive, send
        self._whole = (
            whole  # its body was received to the end, so the next message tells that the client left
        )
        self._looking: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    async def receive(self) -> Message:
        message = await self._receive()
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self.end()  # what streams an answer looks out by itself
        await self._send(message)

    def end(self) -> None:
        """Look out no longer."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _begin(self) -> None:
        if self._whole:
            self._looking = asyncio.get_running_loop().create_task(self._look_out())
        else:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    async def _look_out(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:  # noqa: BLE001 - a body that nobody asked for is too long, or comes too slowly
            return
        self.left = True
        self.task.cancel()
