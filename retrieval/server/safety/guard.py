"""Stand before every route: names, origins, the token, sizes, times and headers; and write the access log."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from retrieval.server.api import OWN_PAGES_ONLY, Refused, problem
from retrieval.server.safety.headers import HEADERS
from retrieval.server.safety.hosts import Hosts
from retrieval.server.safety.login import login_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from retrieval.server import Settings
    from retrieval.server.safety.tokens import Door

_READS: Final = frozenset({"GET", "HEAD"})
_OPEN: Final = frozenset({"/healthz", "/readyz"})
_ASKS: Final = "/session"
_TOKEN_BYTES: Final = 16 << 10
"""Of a body that shows a token."""


class Request:
    """What is known of a request when its answer has been sent.

    Attributes:
        scope: as the server gave it.
        path: as the client wrote it.
        status: of the answer; 499 if the client left before there was one.
        bytes: of the answer's body.
        seconds: that it took.
    """

    __slots__ = ("bytes", "path", "scope", "seconds", "status")

    def __init__(self, scope: Scope) -> None:
        self.scope, self.path = scope, str(scope["path"])
        self.status, self.bytes, self.seconds = 499, 0, 0.0


class Guard:
    """Middleware: refuses what must not pass, and gives every answer its headers.

    Args:
        app: what is guarded.
        settings: of the server.
        door: knows the token.
        told: called with each request when its answer has been sent.
        failed: called with an error that is a bug.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        door: Door,
        *,
        told: Callable[[Request], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._app, self._settings, self._door = app, settings, door
        self._told, self._failed = told, failed
        self._hosts = Hosts(settings)
        self._prefix = settings.prefix
        self._limits = settings.limits
        self._bodies = _Bodies(settings.limits.bodies_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a connection of another kind, which nobody answers, is closed
        request, started = Request(scope), time.perf_counter()
        headers = Headers(scope=scope)
        try:
            await self._answer(scope, headers, receive, _Sending(send, request, self._more(headers)))
        finally:
            request.seconds = time.perf_counter() - started
            self._told(request)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: _Sending) -> None:
        self._place(scope)
        try:
            response = self._refusal(scope, headers)
        except Refused as refused:
            response = problem(refused.status, str(refused), headers=refused.headers)
        if response is not None:
            await response(scope, receive, send)
            return
        body = _Body(receive, self._bodies, most=self._most(scope), seconds=self._limits.seconds)
        try:
            await self._app(scope, body, send)
        except ClientDisconnect:
            return  # nobody waits for an answer
        except Refused as refused:  # of the body
            await problem(refused.status, str(refused), headers=refused.headers)(scope, receive, send)
        except Exception as error:
            self._failed(error)
            if send.begun:
                raise  # the connection is cut: half an answer is none
            words = "this is a bug of the server; its log says more"
            await problem(500, words)(scope, receive, send)
        finally:
            body.give_back()

    def _place(self, scope: Scope) -> None:
        """Find the path below the prefix, whether a proxy has cut it off or not."""
        prefix, path = self._prefix, scope["path"]
        if prefix:
            if path == prefix or path.startswith(prefix + "/"):
                path = path[len(prefix) :] or "/"
            scope["path"], scope["root_path"] = prefix + path, prefix

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that may not pass.

        Raises:
            Refused: it may not pass, for the reason that the error tells.
        """
        method = scope["method"]
        path = scope["path"][len(self._prefix) :]
        host = headers.get("host", "")
        if not self._hosts.allows(host):
            raise Refused(
                400, f"this server is not called {host!r:.100}; whoever runs it can allow that name"
            )
        origin = headers.get("origin")
        foreign = origin is not None and not self._hosts.is_own_origin(origin, host)
        if method == "OPTIONS" and origin is not None and "access-control-request-method" in headers:
            return self._preflight(origin)
        allowed = self._hosts.allows_origin(origin or "") and not path.endswith(OWN_PAGES_ONLY)
        if foreign and method not in _READS and not allowed:
            raise Refused(
                403, f"pages of {origin!r:.100} may not ask this server; whoever runs it can allow them"
            )
        if len(scope.get("raw_path") or b"") > 8192 or len(scope["query_string"]) > 65_536:
            raise Refused(414, "the address is too long")
        length = headers.get("content-length", "0")
        most = self._most(scope)
        if not length.isdecimal() or int(length) > most:
            raise Refused(
                413,
                f"the body is too large; at most {most:,} bytes are read",
                headers={"Connection": "close"},
            )
        if self._door.is_open or path in _OPEN or self._door.lets_in(headers):
            return None
        if path == _ASKS and method in {"POST", "DELETE"}:
            return None
        if path == "/" and method in _READS:
            return login_page(self._settings)
        raise Refused(
            401,
            "this server asks for its token; send it as Authorization: Bearer, or open the page once",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _most(self, scope: Scope) -> int:
        """Return how many bytes of a body are read: few of those that people without a token may send."""
        asks = scope["path"][len(self._prefix) :] == _ASKS
        return min(_TOKEN_BYTES, self._limits.body_bytes) if asks else self._limits.body_bytes

    def _preflight(self, origin: str) -> Response:
        from starlette.responses import Response as Answer

        if not self._hosts.allows_origin(origin):
            raise Refused(
                403, f"pages of {origin!r:.100} may not ask this server; whoever runs it can allow them"
            )
        return Answer(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept",
                "Access-Control-Max-Age": "600",
            },
        )

    def _more(self, headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that this request's answer has besides."""
        origin = headers.get("origin")
        if origin is None or not self._hosts.allows_origin(origin):
            return ()
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"Retry-After, ETag, Content-Disposition"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"vary", b"Origin"),
        )


class _Sending:
    """Adds headers to an answer, and notes what is sent."""

    __slots__ = ("_more", "_request", "_send", "begun")

    def __init__(self, send: Send, request: Request, more: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send, self._request, self._more = send, request, more
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._request.status, self.begun = message["status"], True
            own = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            for name, value in (*self._more, *HEADERS):
                if name not in names:
                    names.add(name)
                    own.append((name, value))
            message["headers"] = own
        else:
            self._request.bytes += len(message.get("body", b""))
        await self._send(message)


class _Bodies:
    """Counts the bytes of all bodies that are held, those of requests that wait for the rest of theirs too."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0


class _Body:
    """Receives a request's body within a size and a time, and all bodies together within a size."""

    __slots__ = ("_bodies", "_end", "_most", "_receive", "_size", "_whole")

    def __init__(self, receive: Receive, bodies: _Bodies, *, most: int, seconds: float) -> None:
        self._receive, self._bodies, self._most = receive, bodies, most
        self._end = asyncio.get_running_loop().time() + seconds
        self._size, self._whole = 0, False

    async def __call__(self) -> Message:
        if self._whole:  # what comes now is the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(408, "the body did not arrive in time", headers={"Connection": "close"}) from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._size += size
            self._bodies.held += size
            self._whole = not message.get("more_body", False)
            if self._size > self._most:
                raise Refused(
                    413,
                    f"the body is too large; at most {self._most:,} bytes are read",
                    headers={"Connection": "close"},
                )
            if size and self._bodies.held > self._bodies.most:
                raise Refused(
                    429,
                    "the bodies of other requests fill what this server holds at a time; try again later",
                    headers={"Retry-After": "1", "Connection": "close"},
                )
        return message

    def give_back(self) -> None:
        """Count the body no more: its request has been answered."""
        self._bodies.held -= self._size
        self._size = 0
