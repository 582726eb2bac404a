"""Do slow clients, thousands of open connections and broken bodies keep others from being answered?"""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchmarks.serve.clients import Client, ask_all, json_request, picture_request
from benchmarks.serve.collections import million, pictures, words
from benchmarks.serve.latency import SEARCH
from benchmarks.serve.processes import Server, serving

if TYPE_CHECKING:
    from pathlib import Path

OPEN = 2000
SLOW = 200
MUTATED = 10_000
SECONDS = 15.0


def hostile(work: Path, *, rows: int) -> dict[str, Any]:
    """Return what a well-behaved client got meanwhile, what the others got, and the server's memory before and after."""
    home = million(work, rows=rows)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * OPEN + 500), most))
    with serving(home, work=work) as server:
        return asyncio.run(_measured(server))


async def _measured(server: Server) -> dict[str, Any]:
    asked = [json_request(server.port, SEARCH, {"text": one}) for one in words(64)]
    found: dict[str, Any] = {"memory_before": server.memory()}
    found["alone"] = (await ask_all(server.port, asked, clients=1, seconds=5)).facts()
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(OPEN)]
    answers = await ask_all(server.port, asked, clients=1, seconds=SECONDS)
    found[f"beside_{OPEN}_open_connections"] = answers.facts()
    found["memory_beside_open_connections"] = server.memory()
    for _, writer in connections:
        writer.close()
    slow = [asyncio.create_task(_slow(server.port, number)) for number in range(SLOW)]
    answers = await ask_all(server.port, asked, clients=1, seconds=SECONDS)
    found[f"beside_{SLOW}_slow_clients"] = answers.facts()
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    leaving = asyncio.create_task(_leaving(server.port))
    answers = await ask_all(server.port, asked, clients=1, seconds=SECONDS)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    found["beside_clients_that_leave"] = answers.facts()
    statuses, bad = await _mutated(server.port)
    found["mutated_bodies"] = {"statuses": statuses, "server_errors": bad}
    found["alone_afterwards"] = (await ask_all(server.port, asked, clients=1, seconds=5)).facts()
    found["memory_after"] = server.memory()
    return found


async def _slow(port: int, number: int) -> None:
    """Send a request a byte at a time; every other client is as slow in its head as in its body."""
    whole = json_request(port, SEARCH, {"text": "a slow client"})
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        start = 0 if number % 2 else whole.index(b"\r\n\r\n") + 4
        writer.write(whole[:start])
        for at in range(start, len(whole) - 1):
            writer.write(whole[at : at + 1])
            await writer.drain()
            await asyncio.sleep(1.0)
    writer.close()


async def _leaving(port: int) -> None:
    """Ask for much and leave at once, again and again."""
    whole = picture_request(port, SEARCH, pictures(1)[0], k=10)
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(whole)
            await asyncio.sleep(0.1)
            writer.close()


async def _mutated(port: int) -> tuple[dict[str, int], list[str]]:
    """Send bodies with changed bytes; return the statuses, and what was sent where the server failed."""
    rng = random.Random(11)
    small = pictures(1, size=(60, 40))[0]
    whole = [
        json_request(port, SEARCH, {"text": "a dog", "k": 3, "under": "album001", "min_score": 0.1}),
        json_request(port, SEARCH, {"queries": [{"id": 3, "weight": -0.5}, "a cat"], "minus": "a car"}),
        json_request(port, SEARCH, {"searches": [{"text": "a dog"}, {"id": 1}]}),
        picture_request(port, SEARCH, small, k=3, region="[0.1, 0.1, 0.5, 0.5]"),
    ]
    statuses: Counter[str] = Counter()
    failed: list[str] = []

    async def one(numbers: range) -> None:
        client = Client(port)
        for number in numbers:
            sent = _changed(whole[number % len(whole)], rng)
            try:
                status, body = await asyncio.wait_for(client.ask(sent), 35)
            except TimeoutError:
                status, body = -1, b"no answer"
                client.close()
            statuses[{0: "closed", -1: "hang"}.get(status, str(status))] += 1
            if status >= 500 or status == -1:
                failed.append(repr(sent[-200:]) + " -> " + body[:200].decode("utf-8", "replace"))
        client.close()

    await asyncio.gather(*(one(range(start, MUTATED, 16)) for start in range(16)))
    return dict(sorted(statuses.items())), failed[:10]


def _changed(whole: bytes, rng: random.Random) -> bytes:
    """Change, drop or double some bytes of a request's body; its length is told rightly."""
    head, _, body = whole.partition(b"\r\n\r\n")
    data = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data))
        what = rng.randrange(4)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at : at + rng.randrange(1, 20)]
        elif what == 2:
            data[at:at] = data[at : at + rng.randrange(1, 50)]
        else:
            data[at:at] = rng.choice(
                (b"null", b"1e999", b"-1", b'"', b"{", b"[", b"\x00", b"\xff", b"99999999999999999999")
            )
        if not data:
            data += b"x"
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(data)]) + b"\r\n\r\n" + bytes(data)
