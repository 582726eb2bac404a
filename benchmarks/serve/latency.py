"""What does a query take over HTTP, beside the same query of a library that is called? One client, nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.frame import Spread, spread
from benchmarks.serve.clients import Answers, ask_all, differences, json_request, quantile
from benchmarks.serve.collections import asked_vectors, million, words
from benchmarks.serve.processes import library, serving

if TYPE_CHECKING:
    from pathlib import Path

SEARCH = "/v1/search"


def requests_of(port: int, rows: int) -> dict[str, list[bytes]]:
    """Return whole requests by words and by vectors."""
    return {
        "text": [json_request(port, SEARCH, {"text": one}) for one in words(720)],
        "vector": [json_request(port, SEARCH, {"vector": one.tolist()}) for one in asked_vectors(rows, 512)],
    }


def http_latency(work: Path, *, rows: int, repeats: int, count: int = 300) -> dict[str, Any]:
    """Return milliseconds of both, round by round, and what HTTP adds."""
    home = million(work, rows=rows)
    found: dict[str, Any] = {}
    with serving(home, work=work) as server, library(home, rows) as direct:
        for kind, requests in requests_of(server.port, rows).items():
            taken: dict[str, list[list[float]]] = {"http": [], "library": []}
            for round_ in range(-1, repeats):
                part = requests[(round_ + 1) * count :] + requests[: (round_ + 1) * count]
                sides = {
                    "http": lambda part=part: _seconds(
                        asyncio.run(ask_all(server.port, part, clients=1, count=count))
                    ),
                    "library": lambda kind=kind: direct.search(kind, count, together=1)[2],
                }
                for side in list(sides)[:: 1 if round_ % 2 else -1]:
                    each = sides[side]()
                    if round_ >= 0:
                        taken[side].append([1000 * one for one in each])
            found[kind] = {}
            for name, share in (("median", 0.5), ("p95", 0.95)):
                sides_ms = {side: _quantiles(rounds, share) for side, rounds in taken.items()}
                found[kind][name] = {
                    **{f"{side}_ms": values for side, values in sides_ms.items()},
                    "added_ms": differences(sides_ms["http"], sides_ms["library"]),
                }
    return found


def _seconds(answers: Answers) -> list[float]:
    if answers.statuses.keys() != {200}:
        raise SystemExit(f"not all were answered: {answers.facts()}")
    return answers.seconds


def _quantiles(rounds: list[list[float]], share: float) -> Spread:
    return spread([round(quantile(one, share), 3) for one in rounds])
