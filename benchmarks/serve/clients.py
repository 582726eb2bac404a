"""Ask a server as many clients at once would, with as little work for each request as can be."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.frame import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BOUNDARY = "----benchmark7MA4YWxk"


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came back.

    Attributes:
        seconds: of each request that was answered with 200.
        statuses: how many had each status; 0 where the connection broke.
        wall: seconds from the first request to the last answer.
        bodies: of answers that are neither 200 nor 429, the first few.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall: float = 0.0
    bodies: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many had a result."""
        return self.statuses[200]

    @property
    def failed(self) -> int:
        """How many had neither a result nor the advice to come again."""
        return sum(count for status, count in self.statuses.items() if status not in {200, 429})

    def take(self, status: int, body: bytes, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(seconds)
        elif status != 429 and len(self.bodies) < 5:
            self.bodies.append(body[:300].decode("utf-8", "replace"))

    def facts(self) -> dict[str, Any]:
        """Return what results keep."""
        return {
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "requests_per_second": round(self.answered / max(self.wall, 1e-9), 2),
            "median_ms": round(1000 * quantile(self.seconds, 0.5), 3),
            "p95_ms": round(1000 * quantile(self.seconds, 0.95), 3),
            "unexpected": self.bodies,
        }


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; return status and body, or 0 if the connection broke."""
        try:
            if self._writer is None or self._writer.is_closing():
                self._reader, self._writer = await asyncio.open_connection(
                    "127.0.0.1", self._port, limit=1 << 22
                )
            self._writer.write(request)
            assert self._reader is not None
            head = await self._reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            status = int(head[9:12])
            if b"transfer-encoding: chunked" in lower:
                body = await self._chunks()
            else:
                length = int(lower.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
                body = await self._reader.readexactly(length)
            if b"connection: close" in lower:
                self.close()
        except (OSError, EOFError, IndexError, ValueError) as error:
            self.close()
            return 0, repr(error).encode()
        return status, body

    async def _chunks(self) -> bytes:
        assert self._reader is not None
        whole = io.BytesIO()
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            whole.write(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return whole.getvalue()

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


async def ask_all(
    port: int,
    requests: Sequence[bytes],
    *,
    clients: int,
    count: int | None = None,
    seconds: float | None = None,
    pause: Callable[[int], float] | None = None,
) -> Answers:
    """Let clients ask, each one request after the other, until so many are answered or so much time is over.

    Args:
        port: of the server.
        requests: asked in turn, again and again.
        clients: connections.
        count: requests.
        seconds: or for so long.
        pause: seconds that a client waits after an answer of some status.
    """
    answers = Answers()
    numbers = iter(range(count if count is not None else 1 << 62))
    began = time.perf_counter()
    until = began + seconds if seconds is not None else float("inf")

    async def one() -> None:
        client = Client(port)
        for number in numbers:
            if time.perf_counter() >= until:
                break
            sent = time.perf_counter()
            status, body = await client.ask(requests[number % len(requests)])
            answers.take(status, body, time.perf_counter() - sent)
            if pause is not None and (wait := pause(status)):
                await asyncio.sleep(wait)
        client.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    answers.wall = time.perf_counter() - began
    return answers


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Ask once by GET."""
    client = Client(port)
    found = await client.ask(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    client.close()
    return found


def json_request(port: int, path: str, value: Any) -> bytes:
    """Return a whole request with a body of JSON."""
    body = json.dumps(value).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def picture_request(port: int, path: str, picture: bytes, **fields: object) -> bytes:
    """Return a whole request with a form that holds a picture, as a page or a program sends it."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
    )
    body = b"".join([*parts, picture, f"\r\n--{_BOUNDARY}--\r\n".encode()])
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of values, 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def differences(ours: Spread, theirs: Spread) -> Spread:
    """Subtract round by round."""
    return spread([one - other for one, other in zip(ours.values, theirs.values, strict=True)])
