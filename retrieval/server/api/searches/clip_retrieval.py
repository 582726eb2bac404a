"""Answer the routes of clip-retrieval's back end, so that its published client and front end work unchanged.

``POST /knn-service`` takes one object with ``text``, ``image`` (base64), ``image_url`` or ``embedding_input``, and
``num_images``, ``indice_name``, ``modality``, ``deduplicate``; fields that mean nothing here are passed over, since its clients
send them always. It answers a list of objects with ``id``, ``similarity`` and metadata. ``POST /metadata`` takes ``ids`` and
``indice_name``. ``GET /indices-list`` gives the names.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from retrieval.display import path_json
from retrieval.errors import ImageError
from retrieval.server.api import json_response
from retrieval.server.api.images import entity_tag, picture_row
from retrieval.server.api.requests import Refused, Search
from retrieval.server.api.searches.queries import options_of, query_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.server import Served
    from retrieval.server.api import Service

_SIZE: Final = 256
_CAPTIONS: Final = ("caption", "text", "title", "description")


class KnnRequest(Struct):
    """A search, as clip-retrieval's clients ask for it."""

    text: str | None = None
    image: str | None = None
    image_url: str | None = None
    embedding_input: list[float] | None = None
    modality: str = "image"
    num_images: int = 100
    num_result_ids: int | None = None
    indice_name: str | None = None
    deduplicate: bool | None = True


class MetadataRequest(Struct):
    """The ids of images, as clip-retrieval's clients ask for them."""

    ids: list[int]
    indice_name: str | None = None


async def indices_list(service: Service, request: Request) -> Response:  # noqa: ARG001 - as routes are called
    """List the names of the collections."""
    return json_response(service.catalogue.names)


async def knn_service(service: Service, request: Request) -> Response:
    """Search as clip-retrieval's back end does."""
    asked = await _body(request, KnnRequest)
    limits = service.settings.limits
    wanted = min(max(asked.num_result_ids or 0, asked.num_images), limits.k)
    if wanted < 1:
        return json_response([])
    if asked.modality != "image":
        raise Refused(400, f"modality is {asked.modality!r:.50}; only images can be found here")
    search = _search(asked, wanted)
    with service.catalogue.newest(asked.indice_name or None) as served:
        query = await query_of(service, served, search, ())
        found = await service.scheduler.search(served, query, k=wanted, **options_of(served, search, limits))
        numbers = [hit.id for hit in found[: max(asked.num_images, 0)]]
        shown = await service.together(partial(_metadata, service, served, number) for number in numbers)
        answers = [
            (shown[place] if place < len(shown) else {}) | {"id": hit.id, "similarity": hit["score"]}
            for place, hit in enumerate(found)
        ]
        return json_response(answers)


def _search(asked: KnnRequest, wanted: int) -> Search:
    """Return the same search in our words; of several ways to ask the first that is given counts, as there."""
    search = Search(k=wanted, names="off", fold_duplicates=bool(asked.deduplicate))
    if asked.text:
        search.text = asked.text
    elif asked.image is not None:
        search.image = asked.image
    elif asked.image_url is not None:
        search.url = asked.image_url
    elif asked.embedding_input is not None:
        search.vector = asked.embedding_input
    return search


async def metadata(service: Service, request: Request) -> Response:
    """Tell what is known of images."""
    asked = await _body(request, MetadataRequest)
    most = service.settings.limits.k
    if len(asked.ids) > most:
        raise Refused(400, f"ids has {len(asked.ids):,} entries; at most {most:,} are given at a time")
    with service.catalogue.newest(asked.indice_name or None) as served:
        known = await service.together(partial(_metadata, service, served, number) for number in asked.ids)
    return json_response(
        [{"id": number, "metadata": one} for number, one in zip(asked.ids, known, strict=True)]
    )


async def _metadata(service: Service, served: Served, number: int) -> dict[str, Any]:
    """Return what clip-retrieval's front end shows of an image: its picture, its path, a caption, an address."""
    row = picture_row(served, number)
    tag = entity_tag(served, row, str(_SIZE))
    data = service.thumbnails.get(tag)
    columns = await service.scheduler.run(lambda: dict(row.columns))
    found: dict[str, Any] = {**columns, "image_path": path_json(row.key)["path"]}
    caption = next((str(columns[name]) for name in _CAPTIONS if columns.get(name)), None)
    found["caption"] = caption or found["image_path"]
    try:
        if row.origin is not None and row.link.startswith(("http://", "https://")):
            return found | {"url": row.link}
        if data is None:
            data = await service.scheduler.run(service.thumbnails.make, served, row, _SIZE)
            service.thumbnails.keep(tag, data)
    except ImageError:
        return found
    return found | {"image": base64.b64encode(data).decode()}


async def _body(request: Request, kind: type[Any]) -> Any:
    """Read a body, whatever type it claims: its clients claim none."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the body is no such request: {error}") from error
