"""List the routes: what each takes, does and gives. The application and the OpenAPI document are made of this one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from retrieval.server.api import health
from retrieval.server.api.collections import collections, maps, reviews
from retrieval.server.api.hits import Answer, Answers, encoded
from retrieval.server.api.images import LARGEST, downloads, images
from retrieval.server.api.openapi_document import openapi
from retrieval.server.api.requests import DownloadRequest, SearchRequest, problem_of
from retrieval.server.api.searches import clip_retrieval, listings, searches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from retrieval.server.api.service import Service

    Answering: TypeAlias = Callable[[Service, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter behind the question mark.

    Attributes:
        name: as it is written.
        about: what it does.
        schema: its JSON schema.
    """

    name: str
    about: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route.

    Attributes:
        method: of HTTP.
        path: with the names of its parts in braces.
        short: the same path where there is one collection.
        answer: the function that answers.
        takes: the kind of its body.
        form: a form with files also does.
        gives: the kind of its answer, its media type, or several of these.
        parameters: behind the question mark.
        statuses: further ones that it may answer with.
    """

    method: str
    path: str
    answer: Answering
    short: str | None = None
    takes: type[Any] | None = None
    form: bool = False
    gives: Any = "application/json"
    parameters: Sequence[Parameter] = ()
    statuses: Sequence[int] = ()


class _RowConvertor(IntegerConvertor):
    """Takes the digits of a row id; a number that no row can have is no such page, and Python reads none of 5,000 digits."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", _RowConvertor())

_COLLECTION: Final = "/v1/collections/{name}"
_IMAGE: Final = "/images/{id:row}"

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/search",
        answer=searches.search,
        takes=SearchRequest,
        form=True,
        gives=Answer | Answers,
        statuses=(404, 410, 413, 422),
    ),
    Endpoint(
        method="GET", path="/v1/collections", answer=collections.collections, gives=collections.Collections
    ),
    Endpoint(
        method="GET",
        path=_COLLECTION,
        answer=collections.collection,
        gives=collections.CollectionFacts,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}/columns",
        answer=collections.columns,
        gives=collections.Columns,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}/folders",
        answer=collections.folders,
        gives=collections.Folders,
        parameters=(
            Parameter(name="under", about="the folder; the root without it", schema={"type": "string"}),
        ),
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}/images",
        answer=listings.listing,
        gives=listings.Listing,
        parameters=(
            Parameter(name="under", about="only images below this folder", schema={"type": "string"}),
            Parameter(name="glob", about="only images whose path matches", schema={"type": "string"}),
            Parameter(name="where", about="a condition over columns, in SQL", schema={"type": "string"}),
            Parameter(
                name="k",
                about="how many at most",
                schema={"type": "integer", "minimum": 1, "maximum": 1000, "default": 60},
            ),
            Parameter(
                name="after", about="only images behind this id", schema={"type": "integer", "minimum": 0}
            ),
            Parameter(
                name="order",
                about="by id, or drawn at random",
                schema={"type": "string", "enum": ["id", "random"], "default": "id"},
            ),
        ),
        statuses=(404, 422),
    ),
    Endpoint(
        method="GET",
        path=_COLLECTION + _IMAGE,
        short=f"/v1{_IMAGE}",
        answer=images.facts,
        gives=images.ImageFacts,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}{_IMAGE}/thumbnail",
        short=f"/v1{_IMAGE}/thumbnail",
        answer=images.thumbnail,
        gives="image/jpeg",
        parameters=(
            Parameter(
                name="size",
                about="pixels of the longer side, about",
                schema={"type": "integer", "minimum": 1, "maximum": LARGEST, "default": 256},
            ),
            Parameter(name="v", about="the collection's mark, for caches", schema={"type": "string"}),
        ),
        statuses=(304, 404, 413, 422),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}{_IMAGE}/original",
        short=f"/v1{_IMAGE}/original",
        answer=images.original,
        gives=("image/*", "application/octet-stream"),
        parameters=(Parameter(name="download", about="to be kept, not shown", schema={"type": "string"}),),
        statuses=(403, 404, 422),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}{_IMAGE}/similar",
        short=f"/v1{_IMAGE}/similar",
        answer=searches.similar,
        gives=Answer,
        parameters=(
            Parameter(
                name="k",
                about="how many hits at most",
                schema={"type": "integer", "minimum": 1, "default": 10},
            ),
            Parameter(name="cursor", about="`next` of the page before", schema={"type": "string"}),
        ),
        statuses=(404, 410),
    ),
    Endpoint(
        method="POST",
        path=f"{_COLLECTION}/download",
        short="/v1/download",
        answer=downloads.download,
        takes=DownloadRequest,
        gives=("text/plain", "application/zip"),
        statuses=(403, 404),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}/duplicates",
        short="/v1/duplicates",
        answer=reviews.review,
        gives="text/html",
        statuses=(404, 501, 503),
    ),
    Endpoint(
        method="GET",
        path=f"{_COLLECTION}/map",
        short="/v1/map",
        answer=maps.show_map,
        gives="text/html",
        statuses=(404,),
    ),
    Endpoint(
        method="POST",
        path=f"{_COLLECTION}{reviews.OWN_PAGES_ONLY}",
        short=f"/v1{reviews.OWN_PAGES_ONLY}",
        answer=reviews.decide,
        takes=reviews.DecisionsRequest,
        gives=reviews.Kept,
        statuses=(404,),
    ),
    Endpoint(
        method="POST",
        path="/knn-service",
        answer=clip_retrieval.knn_service,
        takes=clip_retrieval.KnnRequest,
        statuses=(404, 422),
    ),
    Endpoint(
        method="POST",
        path="/metadata",
        answer=clip_retrieval.metadata,
        takes=clip_retrieval.MetadataRequest,
        statuses=(404,),
    ),
    Endpoint(method="GET", path="/indices-list", answer=clip_retrieval.indices_list, gives=list[str]),
    Endpoint(method="GET", path="/healthz", answer=health.alive, gives="text/plain"),
    Endpoint(method="GET", path="/readyz", answer=health.ready, gives="text/plain", statuses=(503,)),
    Endpoint(method="GET", path="/metrics", answer=health.metrics, gives="text/plain"),
)


def routes(service: Service) -> list[Route]:
    """Return the routes of the API, and that of the document which describes them."""
    made: list[bytes] = []

    async def describe(service: Service, request: Request) -> Response:  # noqa: ARG001 - as routes are called
        if not made:
            made.append(encoded(openapi(service.settings, ENDPOINTS)))
        return Response(made[0], media_type="application/json")

    described = Endpoint(method="GET", path="/openapi.json", answer=describe)
    return [
        Route(path, _Answer(service, endpoint.answer), methods=[endpoint.method])
        for endpoint in (*ENDPOINTS, described)
        for path in (endpoint.path, endpoint.short)
        if path is not None
    ]


class _Answer:
    """Answers requests of one route: an ASGI application."""

    def __init__(self, service: Service, answer: Answering) -> None:
        self._service, self._answer = service, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(self._service, Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - what is none of the library's is raised again
            response = problem_of(error, self._service.catalogue)
        await response(scope, receive, send)
