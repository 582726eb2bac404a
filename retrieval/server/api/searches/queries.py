"""Turn what a request asks for into a `retrieval.Query` and the options of a search, checked against the limits."""

from __future__ import annotations

import os
import posixpath
from functools import partial
from typing import TYPE_CHECKING, Any

from retrieval.collection.queries import Query, image, row, text, total, vector
from retrieval.server.api.images import picture_bytes, picture_row
from retrieval.server.api.requests import Part, Refused, decoded_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.server import Limits, Served
    from retrieval.server.api import Service
    from retrieval.server.api.requests import Search


async def query_of(service: Service, served: Served, search: Search, uploads: Sequence[bytes]) -> Query:
    """Return what a search asks for, as one query.

    Args:
        service: fetches what lies at addresses, where it may.
        served: the collection that is asked.
        search: the request.
        uploads: pictures that came with it as files.
    Raises:
        Refused: it asks for nothing, for too much, or for what is not allowed.
        QueryError, MissingRow, ImageError: as they tell.
    """
    parts = [
        Part(**{name: value, "region": search.region if name in _PICTURES else None})
        for name in _KINDS
        if (value := getattr(search, name)) is not None
    ]
    parts += [Part(text=one) if isinstance(one, str) else one for one in search.queries or ()]
    away = search.minus if isinstance(search.minus, list) else [] if search.minus is None else [search.minus]
    minus = [Part(text=one) if isinstance(one, str) else one for one in away]
    most = service.settings.limits.parts
    if len(parts) + len(uploads) + len(minus) > most:
        raise Refused(
            400, f"the query has {len(parts) + len(uploads) + len(minus)} parts; at most {most} are allowed"
        )
    if not parts and not uploads:
        raise Refused(400, "the query is empty; give text, image, id, vector, url or queries")
    if search.region is not None and not uploads and all(getattr(search, name) is None for name in _PICTURES):
        raise Refused(
            400, "region is a part of a picture, and none is given beside it; give image, id or url"
        )
    asked = [image(data, region=search.region) for data in uploads]
    asked += [await _part(service, served, part) for part in parts]
    asked += [-await _part(service, served, part) for part in minus]
    return total(asked)


_KINDS = ("text", "image", "id", "vector", "url")
_PICTURES = ("image", "id", "url")


async def _part(service: Service, served: Served, part: Part) -> Query:
    given = [name for name in _KINDS if getattr(part, name) is not None]
    if len(given) != 1:
        raise Refused(
            400,
            f"a part of the query has {' and '.join(given) or 'nothing'}; give exactly one of {', '.join(_KINDS)}",
        )
    (kind,) = given
    if part.region is not None and kind not in _PICTURES:
        raise Refused(
            400, f"region is a part of a picture, and {kind} is none; give it beside image, id or url"
        )
    limits = service.settings.limits
    if kind == "text":
        return text(_short(part.text, "text", limits), weight=part.weight)
    if kind == "vector":
        return vector(part.vector, weight=part.weight)
    if kind == "id":
        assert part.id is not None  # noqa: S101 - for the type checker
        if part.region is None:
            return row(part.id, weight=part.weight)
        data = await service.scheduler.run(partial(_row_bytes, served, part.id))
    elif kind == "image":
        data = decoded_base64(part.image or "")
    else:
        data = await _fetched(service, _short(part.url, "url", limits))
    return image(data, weight=part.weight, region=part.region)


def _row_bytes(served: Served, number: int) -> bytes:
    return picture_bytes(served, picture_row(served, number))


async def _fetched(service: Service, url: str) -> bytes:
    if service.fetch is None:
        raise Refused(403, "this server fetches no URLs; send the picture itself")
    return await service.scheduler.run(service.fetch, url)


def options_of(served: Served, search: Search, limits: Limits) -> dict[str, Any]:
    """Return the options of `Collection.search` that a request names, without ``k``.

    Raises:
        Refused: one is beyond the limits, or names a folder outside the collection.
    """
    options: dict[str, Any] = {
        "names": search.names,
        "include_self": search.include_self,
        "fold_duplicates": search.fold_duplicates,
    }
    if search.k > limits.k:
        raise Refused(
            400, f"k is {search.k}; at most {limits.k} hits are given at a time, and a cursor goes on"
        )
    if search.min_score is not None:
        options["min_score"] = search.min_score
    if search.exact:
        options["exact"] = True
    if search.verify:
        if search.verify > limits.verified:
            raise Refused(
                400,
                f"verify is {search.verify:,}; at most {limits.verified:,} hits are compared with a picture",
            )
        options["verify"] = search.verify
    if search.sure:
        options["sure"] = True
    if search.ids is not None:
        if len(search.ids) > limits.ids:
            raise Refused(400, f"ids has {len(search.ids):,} entries; at most {limits.ids:,} are allowed")
        options["ids"] = search.ids
    if search.under is not None:
        folder = folder_of(_short(search.under, "under", limits))
        options["under"] = os.path.join(
            served.collection.root, folder
        )  # absolute: a relative one may lie beside the server
    if search.glob is not None:
        options["glob"] = _short(search.glob, "glob", limits)
    if search.where is not None:
        options["where"] = _short(search.where, "where", limits)
    return options


def folder_of(name: str) -> str:
    """Return a folder of a collection, relative to its root; nothing on this machine is looked at.

    Raises:
        Refused: it is absolute, or leads out.
    """
    folder = posixpath.normpath(name) if name else "."
    if posixpath.isabs(folder) or folder == ".." or folder.startswith("../") or "\0" in name:
        raise Refused(
            400, f"under is {name!r:.200}; it must be a folder of the collection, as hits' paths begin"
        )
    return "" if folder == "." else folder


def _short(value: str | None, what: str, limits: Limits) -> str:
    if value is None or len(value) > limits.characters:
        raise Refused(
            400, f"{what} has {len(value or ''):,} characters; at most {limits.characters:,} are allowed"
        )
    return value
