"""Answer searches: one, several, and images similar to one of the collection."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from retrieval.collection import CHECKED
from retrieval.server.api import encoded, hit_objects, json_response
from retrieval.server.api.requests import (
    Refused,
    Search,
    SearchRequest,
    number_parameter,
    problem_content,
    read_form,
    read_json,
)
from retrieval.server.api.searches.cursors import Cursor, digest_of, read_cursor, write_cursor
from retrieval.server.api.searches.queries import options_of, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.server.api import Service

NDJSON = "application/x-ndjson"


async def search(service: Service, request: Request) -> Response:
    """Answer one search, or several."""
    uploads: list[bytes] = []
    asked: Search
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        asked, uploads = await read_form(request, most=service.settings.limits.body_bytes)
    else:
        asked = sent = await read_json(request, SearchRequest)
        if sent.searches is not None:
            return await _several(service, request, sent)
    if _wants_lines(request):
        answer = await answer_of(service, asked, uploads)
        lines = [encoded(hit) for hit in answer["hits"]]
        return StreamingResponse(_joined(lines), media_type=NDJSON)
    return json_response(await answer_of(service, asked, uploads))


async def similar(service: Service, request: Request) -> Response:
    """Find images like one of the collection."""
    limits = service.settings.limits
    asked = Search(
        id=int(request.path_params["id"]),
        k=number_parameter(request, "k", least=1, most=limits.k, default=10),
        cursor=request.query_params.get("cursor"),
        collection=request.path_params.get("name"),
    )
    return json_response(await answer_of(service, asked, ()))


async def answer_of(service: Service, asked: Search, uploads: Sequence[bytes]) -> dict[str, Any]:
    """Return the answer to one search, as an object.

    Raises:
        RetrievalError: there is none.
    """
    started = time.perf_counter()
    settings, limits = service.settings, service.settings.limits
    digest = digest_of(asked, uploads) if asked.cursor is not None else ""
    cursor = None if asked.cursor is None else read_cursor(asked.cursor, digest=digest)
    catalogue = service.catalogue
    with (
        catalogue.newest(asked.collection)
        if cursor is None
        else catalogue.at(asked.collection, cursor.version)
    ) as served:
        options = options_of(served, asked, limits)
        start = 0 if cursor is None else cursor.start
        if start >= max(CHECKED, asked.verify):
            options.pop(
                "verify", None
            )  # the check orders the first hits anew, and those are before this page
        stop = min(start + asked.k, limits.depth)
        if start >= stop:
            raise Refused(400, f"one query gives {limits.depth:,} hits at most; narrow it by a filter")
        query = await query_of(service, served, asked, uploads)
        more = stop < limits.depth
        found = await service.scheduler.search(served, query, k=stop + more, **options)
        hits = found[start:stop]
        following = None
        if more and len(found) > stop:
            following = write_cursor(Cursor(served.version, stop, digest or digest_of(asked, uploads)))
        return {
            "hits": hit_objects(hits, served, settings),
            "next": following,
            "took_ms": round((time.perf_counter() - started) * 1e3, 2),
            "generation": served.generation,
            "collection": served.name,
            "searched": found.searched,
            "likely": found.likely,
            "unknown_words": list(found.unknown_words),
            "read_as": dict(found.read_as),
            "checked": found.checked,
            "missing": list(found.missing),
        }


async def _several(service: Service, request: Request, asked: SearchRequest) -> Response:
    searches = asked.searches or []
    if asked != SearchRequest(searches=searches):
        raise Refused(400, "beside searches nothing else may be given; each search has its own options")
    most = service.settings.limits.searches
    if len(searches) > most:
        raise Refused(400, f"searches has {len(searches)} entries; at most {most} are answered at a time")
    calls = [partial(_answer_or_problem, service, one) for one in searches]
    if _wants_lines(request):
        return StreamingResponse(_lines(service, calls), media_type=NDJSON)
    return json_response({"answers": await service.together(calls)})


async def _answer_or_problem(service: Service, asked: Search) -> dict[str, Any]:
    try:
        return await answer_of(service, asked, ())
    except Exception as error:  # noqa: BLE001 - what is none of the library's is raised again
        return problem_content(error, service.catalogue)


async def _lines(
    service: Service, calls: Sequence[Callable[[], Awaitable[dict[str, Any]]]]
) -> AsyncIterator[bytes]:
    """Yield answers in the order of the searches, some at a time as soon as they are there."""
    step = service.settings.batching.batch
    for start in range(0, len(calls), step):
        for answer in await service.together(calls[start : start + step]):
            yield encoded(answer) + b"\n"


async def _joined(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line + b"\n"


def _wants_lines(request: Request) -> bool:
    return NDJSON in request.headers.get("accept", "")
