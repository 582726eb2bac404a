"""Answer for single images: their facts, thumbnails and originals."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from msgspec import Meta, Struct
from starlette.responses import Response

from retrieval.display import path_json
from retrieval.errors import ImageError
from retrieval.server.api import images_address, json_response
from retrieval.server.api.images.pictures import original_bytes, picture_row
from retrieval.server.api.images.thumbnails import LARGEST, entity_tag, nearest_size
from retrieval.server.api.requests import Refused, number_parameter, only

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.collection import Row
    from retrieval.server import Served
    from retrieval.server.api import Service

_KEPT: Final = "private, max-age=3600"
"""How long browsers may show a picture without asking: its address has the collection's mark, and an id is never used again."""

_FORMS: Final = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp", "AVIF": "image/avif",
    "BMP": "image/bmp", "TIFF": "image/tiff", "HEIF": "image/heif", "JPEG2000": "image/jp2",
}  # fmt: skip
"""What originals may be shown as, by Pillow's names; anything else is bytes to be kept."""


class ImageFacts(Struct):
    """What is known of an image."""

    id: int
    path: Annotated[str, Meta(description="within the collection")]
    collection: str
    generation: int
    bytes: Annotated[int | None, Meta(description="size of the file when it was indexed")]
    width: int | None
    height: int | None
    time: Annotated[
        str | None, Meta(description="when the picture was taken, or else what the file's metadata say")
    ]
    columns: dict[str, str | int | float | bool | None]
    thumbnail: Annotated[str, Meta(description="address of a small picture; add &size=512 for a larger one")]
    original: Annotated[str | None, Meta(description="address of the file, where the server gives it out")]


async def facts(service: Service, request: Request) -> Response:
    """Tell what is known of an image."""
    only(request)
    with _served(service, request) as served:
        row = await service.scheduler.run(picture_row, served, int(request.path_params["id"]))
        columns = await service.scheduler.run(lambda: dict(row.columns))
        address = f"{images_address(served, service.settings)}{row.id}"
        found: dict[str, Any] = {
            "id": row.id,
            **path_json(row.key),
            "collection": served.name,
            "generation": served.generation,
            "bytes": columns.get("bytes"),
            "width": columns.get("width"),
            "height": columns.get("height"),
            "time": columns.get("taken"),
            "columns": columns,
            "thumbnail": f"{address}/thumbnail?v={served.mark}",
            "original": f"{address}/original" if service.settings.originals else None,
        }
        return json_response(found)


async def thumbnail(service: Service, request: Request) -> Response:
    """Give a small upright JPEG of an image."""
    only(request, "size", "v")
    size = nearest_size(number_parameter(request, "size", least=1, most=LARGEST, default=256))
    with _served(service, request) as served:
        row = picture_row(served, int(request.path_params["id"]))
        tag = entity_tag(served, row, str(size))
        headers = {"ETag": tag, "Cache-Control": _KEPT}
        if _has(request, tag):
            return Response(status_code=304, headers=headers)
        data = service.thumbnails.get(tag)
        if data is None:
            data = await service.scheduler.run(service.thumbnails.make, served, row, size)
            service.thumbnails.keep(tag, data)
        return Response(data, headers=headers, media_type="image/jpeg")


async def original(service: Service, request: Request) -> Response:
    """Give the file of an image as it is."""
    only(request, "download")
    require_originals(service)
    with _served(service, request) as served:
        row = picture_row(served, int(request.path_params["id"]))
        data, form = await service.scheduler.run(_read, served, row)
        headers = {
            "Content-Disposition": _disposition(
                row, shown=form is not None and "download" not in request.query_params
            ),
            "Cache-Control": "private, no-cache",
        }
        return Response(data, headers=headers, media_type=form or "application/octet-stream")


def require_originals(service: Service) -> None:
    """Refuse to give out files where the server was not told to.

    Raises:
        Refused: it was not.
    """
    if not service.settings.originals:
        raise Refused(403, "this server gives out thumbnails only, not the files themselves")


def _served(service: Service, request: Request) -> Served:
    return service.catalogue.newest(request.path_params.get("name"))


def _has(request: Request, tag: str) -> bool:
    """Say whether the client has the picture already."""
    known = request.headers.get("if-none-match", "")
    return known == "*" or tag in [one.strip().removeprefix("W/") for one in known.split(",")]


def _read(served: Served, row: Row) -> tuple[bytes, str | None]:
    """Return the bytes of an image, and the type as which a browser may show them."""
    from PIL import Image, UnidentifiedImageError

    from retrieval.sources.decoding import quiet

    data = original_bytes(served, row)
    try:
        with quiet(), Image.open(io.BytesIO(data)) as image:
            return data, _FORMS.get(image.format or "")
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        ImageError,
    ):
        return data, None


def _disposition(row: Row, *, shown: bool) -> str:
    name = os.fsencode(row.key.rpartition("/")[2] or "image")
    return f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}"
