"""A request whose client leaves is stopped; all others run on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from retrieval.server.scheduling import StopWhenDisconnected

LONG = 10.0


class Notes:
    """What happened in the server."""

    def __init__(self) -> None:
        self.begun = self.stopped = self.ended = self.told = 0

    def tell(self) -> None:
        self.told += 1


def application(notes: Notes) -> Starlette:
    async def wait(request: Request) -> JSONResponse:
        body = await request.body()
        notes.begun += 1
        try:
            await asyncio.sleep(float(request.query_params["seconds"]))
        except asyncio.CancelledError:
            notes.stopped += 1
            raise
        notes.ended += 1
        return JSONResponse({"bytes": len(body)})

    async def stream(request: Request) -> StreamingResponse:
        async def lines() -> Any:
            for number in range(20):
                yield f"{number}\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(lines())

    return Starlette(
        routes=[Route("/wait", wait, methods=["GET", "POST"]), Route("/stream", stream, methods=["POST"])],
        middleware=[Middleware(StopWhenDisconnected, told=notes.tell)],
    )


def served(client: Callable[[int], Awaitable[Any]], notes: Notes) -> Any:
    """Run a server, and a client that is given its port."""

    async def run() -> Any:
        config = uvicorn.Config(application(notes), port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            return await asyncio.wait_for(client(port), LONG)
        finally:
            server.should_exit = True
            await running

    return asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - of a server, which sets no event of ours
        await asyncio.sleep(0.005)


async def ask(port: int, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> Any:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200")
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return json.loads(await reader.readexactly(length))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_stops_when_its_client_leaves(method: str) -> None:
    notes = Notes()

    async def client(port: int) -> None:
        _, writer = await ask(
            port, f"{method} /wait?seconds={LONG}", b"x" * (200_000 if method == "POST" else 0)
        )
        await until(lambda: notes.begun == 1)
        writer.close()
        await until(lambda: notes.told == 1)

    served(client, notes)
    assert (notes.stopped, notes.ended) == (1, 0)


def test_one_that_leaves_during_its_upload_is_no_trouble() -> None:
    notes = Notes()

    async def client(port: int) -> Any:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /wait?seconds=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.15)
        writer.close()
        reader, writer = await ask(port, "POST /wait?seconds=0", b"abcd")
        found = await answer(reader)
        writer.close()
        return found

    assert served(client, notes) == {"bytes": 4}


def test_a_slow_answer_to_a_client_that_stays_is_whole() -> None:
    notes = Notes()

    async def client(port: int) -> Any:
        body = b"x" * 500_000
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST /wait?seconds=0.2 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        for start in range(0, len(body), 100_000):  # longer than anybody waits before looking out
            writer.write(body[start : start + 100_000])
            await asyncio.sleep(0.03)
        found = await answer(reader)
        writer.write(b"POST /wait?seconds=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        again = await answer(reader)
        writer.close()
        return found, again

    assert served(client, notes) == ({"bytes": 500_000}, {"bytes": 2})
    assert notes.told == 0


def test_a_streamed_answer_is_whole() -> None:
    async def client(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab")
        found = await reader.read()
        writer.close()
        return found

    found = served(client, Notes())
    assert [f"\r\n{number}\n\r\n".encode() in found for number in range(20)] == [True] * 20
