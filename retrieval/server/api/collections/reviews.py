"""Show duplicates for a review, and keep what people decide, where the server lets them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct
from starlette.responses import HTMLResponse

from retrieval.curation.duplicates import (
    duplicates,
    parse_decisions,
    review_html,
    review_policy,
    write_decisions,
)
from retrieval.errors import MissingRow
from retrieval.server.api import images_address, json_response
from retrieval.server.api.requests import Refused, only, read_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.curation.duplicates import DuplicateImage, Duplicates
    from retrieval.progress import Progress
    from retrieval.server import Served
    from retrieval.server.api import Service

OWN_PAGES_ONLY: Final = "/duplicates/decisions"
"""How addresses end that only pages of this server may post to, whatever other origins are allowed."""

_PATIENCE: Final = 20.0
"""Seconds that a request waits for the duplicates to be found."""

_AGAIN: Final = 10
_SIZE: Final = 512


class Judged(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An image of a decision."""

    path: Annotated[str, Meta(description="within the collection")]
    content: Annotated[str, Meta(description="hash of its file's bytes; may be empty")]
    path_bytes: Annotated[str | None, Meta(description="the path in base64, if it is not UTF-8")] = None


class Decided(Struct, forbid_unknown_fields=True):
    """What a person said of two images."""

    first: Judged
    second: Judged
    decision: Literal["different", "keep-both", "first-goes", "second-goes"]


class DecisionsRequest(Struct, forbid_unknown_fields=True):
    """Decisions about pairs of images, as the review page saves them."""

    format: Literal[1]
    decisions: Annotated[list[Decided], Meta(max_length=1000)]


class Kept(Struct):
    """What was kept."""

    kept: Annotated[int, Meta(description="decisions")]


_Turn = tuple[tuple[int, int], int]
"""Version of a collection, and how many decisions this server has kept."""


class _Stopped(Exception):
    """The server ends while duplicates are being found."""


@dataclass(slots=True)
class Searches:
    """Searches for duplicates under way, one a collection; requests that come meanwhile wait for the same."""

    _running: dict[str, tuple[_Turn, asyncio.Task[Duplicates]]] = field(default_factory=dict)
    _decided: Counter[str] = field(default_factory=Counter)
    _ended: bool = False

    async def found(self, served: Served) -> Duplicates:
        """Return the duplicates of a collection.

        What was found for a client that left is given to the next one, unless a build or a decision has come since.

        Raises:
            Refused: they are still being found; another request will have them.
        """
        turn: _Turn = (served.version, self._decided[served.name])
        while True:
            begun, task = self._running.get(served.name) or (turn, asyncio.create_task(self._find(served)))
            self._running[served.name] = begun, task
            done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
            if not done:
                raise Refused(
                    503,
                    "the duplicates are still being found, which takes long only the first time; ask again in a while",
                    headers={"Retry-After": str(_AGAIN)},
                )
            if self._running.get(served.name) == (begun, task):
                del self._running[served.name]
            if begun[0] == turn[0] and begun[1] >= turn[1]:
                return task.result()

    def decided(self, name: str) -> None:
        """Give nobody what was found in a collection before now: somebody has decided."""
        self._decided[name] += 1

    async def _find(self, served: Served) -> Duplicates:
        with served:
            return await asyncio.to_thread(duplicates, served.collection, progress=self._go_on)

    def _go_on(self, _: Progress) -> None:
        if self._ended:
            raise _Stopped

    async def close(self) -> None:
        """Stop searches that are under way; what they found is kept."""
        self._ended = True
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)


async def review(service: Service, request: Request) -> Response:
    """Show the sets of duplicates, to be decided one by one."""
    only(request)
    _require_reviews(service)
    served = service.catalogue.newest(request.path_params.get("name"))
    found = await service.searches.found(served)
    start = images_address(served, service.settings)

    def address(image: DuplicateImage) -> str:
        return f"{start}{image.id}/thumbnail?v={served.mark}&size={_SIZE}"

    post_to = f"{review_address(served, service)}/decisions"
    html = await service.scheduler.run(lambda: review_html(found, pictures=address, post_to=post_to))
    policy = f"{review_policy(pictures=True, post=True)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


async def decide(service: Service, request: Request) -> Response:
    """Keep decisions in the collection, for every later search for duplicates."""
    _require_reviews(service)
    asked = await read_json(request, DecisionsRequest)
    decisions = parse_decisions(msgspec.json.encode(asked), name="the request")
    served = service.catalogue.newest(request.path_params.get("name"))

    def keep() -> None:
        for one in decisions:
            for image in (one.first, one.second):
                if image.path not in served.collection:
                    raise MissingRow(
                        f"there is no image {image.path!r:.200} in {served.name}; load the page again"
                    )
        write_decisions(served.collection.directory, decisions)

    with served:
        await service.scheduler.run(keep)
        service.searches.decided(served.name)
    return json_response({"kept": len(decisions)})


def review_address(served: Served, service: Service) -> str:
    """Return the address of the page to review a collection's duplicates."""
    return f"{service.settings.prefix}/v1/collections/{quote(served.name, safe='')}/duplicates"


def _require_reviews(service: Service) -> None:
    if not service.settings.review:
        raise Refused(403, "this server offers no reviews of duplicates; whoever runs it can")
