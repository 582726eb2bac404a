"""Answer for whole collections: which there are, their facts, columns and folders."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from msgspec import Meta, Struct

from retrieval.display import path_json
from retrieval.encoders import TextEncoder
from retrieval.errors import RetrievalError
from retrieval.server.api import json_response
from retrieval.server.api.collections.maps import map_address
from retrieval.server.api.collections.reviews import review_address
from retrieval.server.api.requests import only
from retrieval.server.api.searches import folder_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.collection import Collection
    from retrieval.server import Served
    from retrieval.server.api import Service

_FEW: Final = 50
"""Values of a column that are listed."""

_ROWS: Final = 100_000
"""Rows that values of columns are counted in."""

_FOLDERS: Final = 1_000


class CollectionFacts(Struct):
    """What a collection is."""

    name: str
    images: int
    generation: int
    encoder: Annotated[str, Meta(description="what turns queries into vectors")]
    words: Annotated[bool, Meta(description="whether it can be asked with words")]
    pictures: Annotated[bool, Meta(description="whether it can be asked with pictures of one's own")]
    dim: Annotated[int, Meta(description="numbers of a vector")]
    kind: Annotated[str, Meta(description="of the index")]
    recall_at_10: float | None
    columns: Annotated[dict[str, str], Meta(description="types by name")]
    originals: Annotated[bool, Meta(description="whether files are given out")]
    duplicates: Annotated[
        str | None, Meta(description="address of the page to review duplicates, where the server offers it")
    ]
    map: Annotated[str | None, Meta(description="address of the collection's map, where the server has one")]
    address: str


class Collections(Struct):
    """The collections that are served."""

    collections: list[CollectionFacts]


class Column(Struct):
    """A column: what is known of images besides their pictures."""

    name: str
    type: str
    values: Annotated[
        list[str | int | float | bool] | None,
        Meta(description="those that there are, where they are few; most frequent first"),
    ]


class Columns(Struct):
    """The columns of a collection."""

    columns: list[Column]


class Folder(Struct):
    """A folder with images in it or below."""

    path: str
    name: str
    images: int


class Folders(Struct):
    """The folders directly below one."""

    under: str
    folders: list[Folder]
    complete: Annotated[bool, Meta(description="false where there are more than are listed")]


async def collections(service: Service, request: Request) -> Response:
    """List the collections."""
    only(request)
    found = [await _facts(service, name) for name in service.catalogue.names]
    return json_response({"collections": found})


async def collection(service: Service, request: Request) -> Response:
    """Tell what a collection is."""
    only(request)
    return json_response(await _facts(service, request.path_params["name"]))


async def _facts(service: Service, name: str) -> dict[str, Any]:
    with service.catalogue.newest(name) as served:
        return await service.scheduler.run(_facts_of, service, served)


def _facts_of(service: Service, served: Served) -> dict[str, Any]:
    own = served.collection
    index = own.manifest.index
    encoder = _encoder(own)
    return {
        "name": served.name,
        "images": len(own),
        "generation": served.generation,
        "encoder": own.manifest.encoder or own.space.name,
        "words": isinstance(encoder, TextEncoder),
        "pictures": encoder is not None,
        "dim": own.space.dim,
        "kind": index.kind,
        "recall_at_10": index.recall_at_10,
        "columns": own.column_types(),
        "originals": service.settings.originals,
        "duplicates": review_address(served, service) if service.settings.review else None,
        "map": map_address(served, service),
        "address": f"{service.settings.prefix}/v1/collections/{quote(served.name, safe='')}",
    }


def _encoder(own: Collection) -> Any:
    """Return what encodes queries; None where there is nothing, as for rows of vectors."""
    try:
        return own.encoder
    except RetrievalError:
        return None


async def columns(service: Service, request: Request) -> Response:
    """List the columns, their types, and their values where these are few."""
    only(request)
    with service.catalogue.newest(request.path_params["name"]) as served:
        found = await service.remembered("columns", served, "", _columns)
        return json_response({"columns": found})


def _columns(served: Served, _: str) -> list[dict[str, Any]]:
    own = served.collection
    types = own.column_types()
    counts: dict[str, Counter[Any] | None] = {name: Counter() for name in types}
    if types:
        rows = _sampled(own)
        for start in range(0, len(rows), 4096):
            for known in own.columns(rows[start : start + 4096]):
                for name, value in known.items():
                    counted = counts.get(name)
                    if counted is not None:
                        counted[value] += 1
                        if len(counted) > _FEW:
                            counts[name] = None
    found = []
    for name, kind in types.items():
        counted = counts[name]
        values = None if counted is None else [value for value, _ in counted.most_common()]
        found.append({"name": name, "type": kind, "values": values})
    return found


def _sampled(own: Collection) -> Any:
    """Return the ids of live rows, of many a part that is spread over all."""
    import numpy as np

    live = np.flatnonzero(own.mask())
    return live if len(live) <= _ROWS else live[np.linspace(0, len(live) - 1, _ROWS).astype(np.int64)]


async def folders(service: Service, request: Request) -> Response:
    """List the folders directly below one, with how many images each has."""
    only(request, "under")
    under = folder_of(request.query_params.get("under", ""))
    with service.catalogue.newest(request.path_params["name"]) as served:
        return json_response(await service.remembered("folders", served, under, _folders))


def _folders(served: Served, under: str) -> dict[str, Any]:
    own = served.collection
    start = f"{under}/" if under else ""
    found = own.folders(os.path.join(own.root, under))
    names = list(found)[:_FOLDERS]
    return {
        "under": under,
        "folders": [
            {**path_json(start + name), "name": path_json(name)["path"], "images": found[name]}
            for name in names
        ],
        "complete": len(names) == len(found),
    }
