"""What do 32 clients get, and what does it cost? Images against the library's batches; words and vectors by CPU time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.frame import ratio, spread
from benchmarks.serve.clients import ask_all, differences, picture_request
from benchmarks.serve.collections import million, pictures
from benchmarks.serve.latency import SEARCH, requests_of
from benchmarks.serve.processes import Library, Server, library, serving

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 32
TOGETHER = 32


def images(work: Path, *, rows: int, repeats: int, count: int = 1280) -> dict[str, Any]:
    """Return images a second over HTTP, and of the library that is given lists of 32."""
    home = million(work, rows=rows)
    with serving(home, work=work) as server, library(home, rows) as direct:
        requests = [picture_request(server.port, SEARCH, one, k=10) for one in pictures(32)]
        rates: dict[str, list[float]] = {"http": [], "library": []}
        refused = 0
        for round_ in range(-1, repeats):
            for side in ("http", "library")[:: 1 if round_ % 2 else -1]:
                if side == "http":
                    answers = asyncio.run(ask_all(server.port, requests, clients=CLIENTS, count=count))
                    if answers.failed:
                        raise SystemExit(f"images failed: {answers.facts()}")
                    refused += answers.statuses[429]
                    rate = answers.answered / answers.wall
                else:
                    rate = count / direct.search("image", count, together=TOGETHER)[0]
                if round_ >= 0:
                    rates[side].append(rate)
        sides = {side: spread(values) for side, values in rates.items()}
        return {
            "clients": CLIENTS,
            "images_per_second": sides,
            "http_over_library": ratio(sides["http"], sides["library"]),
            "refused": refused,
            "bytes_a_picture": round(sum(map(len, requests)) / len(requests)),
        }


def queries(work: Path, *, rows: int, repeats: int, count: int = 2000) -> dict[str, Any]:
    """Return the server's CPU time a request, and what of it is beyond the library's, which is given lists as long."""
    home = million(work, rows=rows)
    found: dict[str, Any] = {}
    with serving(home, work=work) as server, library(home, rows) as direct:
        for kind, requests in requests_of(server.port, rows).items():
            found[kind] = _beyond(server, direct, kind, requests, repeats=repeats, count=count)
    return found


def _beyond(
    server: Server, direct: Library, kind: str, requests: list[bytes], *, repeats: int, count: int
) -> dict[str, Any]:
    taken: dict[str, list[float]] = {"server": [], "library": [], "library_one_by_one": []}
    rates, sizes, refused, latencies = [], [], 0, []
    for round_ in range(-1, repeats):
        before, batches = server.cpu, _batches(server)
        answers = asyncio.run(ask_all(server.port, requests, clients=CLIENTS, count=count))
        worked, (queries_, calls) = server.cpu - before, _batches(server)
        if answers.failed:
            raise SystemExit(f"{kind}: {answers.facts()}")
        size = (queries_ - batches[0]) / max(calls - batches[1], 1)
        together = direct.search(kind, count, together=max(1, round(size)))
        alone = direct.search(kind, count // 4, together=1)
        if round_ >= 0:
            refused += answers.statuses[429]
            taken["server"].append(1000 * worked / max(answers.answered, 1))
            taken["library"].append(1000 * together[1] / count)
            taken["library_one_by_one"].append(1000 * alone[1] / (count // 4))
            rates.append(answers.answered / answers.wall)
            sizes.append(round(size, 1))
            latencies.append(answers.facts())
    sides = {side: spread([round(one, 3) for one in values]) for side, values in taken.items()}
    return {
        "clients": CLIENTS,
        "requests_per_second": spread(rates),
        "queries_a_batch": spread(sizes),
        "cpu_ms": sides,
        "beyond_library_ms": differences(sides["server"], sides["library"]),
        "beyond_one_by_one_ms": differences(sides["server"], sides["library_one_by_one"]),
        "refused": refused,
        "latency": latencies,
    }


def _batches(server: Server) -> tuple[float, float]:
    """Return how many queries without images were searched, and in how many batches."""
    return (
        server.metric('retrieval_batch_size_sum{lane="search"}'),
        server.metric('retrieval_batch_size_count{lane="search"}'),
    )
