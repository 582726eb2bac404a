"""List images without a query: those that the filters allow, in their order or drawn at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from retrieval.display import path_json
from retrieval.server.api import images_address, json_response
from retrieval.server.api.requests import Refused, Search, number_parameter, only
from retrieval.server.api.searches.queries import options_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.server import Served
    from retrieval.server.api import Service

_LARGEST_ID = (1 << 53) - 1


class ListedImage(Struct):
    """One image of a list."""

    path: Annotated[str, Meta(description="within the collection; percent-encoded if it is not UTF-8")]
    id: int
    columns: dict[str, str | int | float | bool | None]
    width: int | None
    height: int | None
    thumbnail: Annotated[str, Meta(description="address of a small picture; add &size=512 for a larger one")]


class Listing(Struct):
    """Images of a collection, by id."""

    images: list[ListedImage]
    next: Annotated[int | None, Meta(description="send it as after, with the same filters, for those behind")]
    total: Annotated[int, Meta(description="images that the filters allow")]
    generation: int
    collection: str


async def listing(service: Service, request: Request) -> Response:
    """List images that filters allow."""
    only(request, "under", "glob", "where", "k", "after", "order")
    asked = request.query_params
    k = number_parameter(request, "k", least=1, most=service.settings.limits.k, default=60)
    after = number_parameter(request, "after", least=0, most=_LARGEST_ID, default=-1)
    order = asked.get("order", "id")
    if order not in {"id", "random"}:
        raise Refused(400, f"order is {order!r:.100}; it must be id or random")
    filters = Search(under=asked.get("under"), glob=asked.get("glob"), where=asked.get("where"))
    with service.catalogue.newest(request.path_params["name"]) as served:
        options = options_of(served, filters, service.settings.limits)
        kept = {name: options[name] for name in ("under", "glob", "where") if name in options}
        found, total = await service.scheduler.run(_listed, served, kept, k, after, order == "random")
        start = images_address(served, service.settings)
        for image in found:
            image["thumbnail"] = f"{start}{image['id']}/thumbnail?v={served.mark}"
        answer = {
            "images": found[:k],
            "next": found[k - 1]["id"] if len(found) > k else None,
            "total": total,
            "generation": served.generation,
            "collection": served.name,
        }
        return json_response(answer)


def _listed(
    served: Served, filters: dict[str, Any], k: int, after: int, drawn: bool
) -> tuple[list[dict[str, Any]], int]:
    """Return one image more than was asked for, if there are so many, and how many the filters allow."""
    own = served.collection
    allowed = np.flatnonzero(own.mask(**filters))
    if drawn:
        ids = random.sample(range(len(allowed)), min(k, len(allowed)))
        chosen = allowed[ids].tolist()
    else:
        start = int(np.searchsorted(allowed, after, side="right"))
        chosen = allowed[start : start + k + 1].tolist()
    columns = own.columns(chosen) if chosen else []
    return [
        {
            "id": number,
            **path_json(own.key_of(number)),
            "columns": dict(known),
            "width": known.get("width"),
            "height": known.get("height"),
        }
        for number, known in zip(chosen, columns, strict=True)
    ], len(allowed)
