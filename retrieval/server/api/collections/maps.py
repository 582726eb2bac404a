"""Give out maps of collections that were written before, which then search any words here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

from retrieval.curation.map import served_head
from retrieval.errors import OptionError
from retrieval.server.api import images_address
from retrieval.server.api.requests import Refused, only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from retrieval.server import Served
    from retrieval.server.api import Service

_CHUNK: Final = 1 << 18


def named_maps(maps: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """Return the files of maps by the collections that they show.

    Args:
        maps: ``FILE`` or ``NAME=FILE`` each; a name is needed where there are several collections.
        names: of the collections.
    Raises:
        OptionError: a file is no map, or it is not clear which collection it shows.
    """
    found: dict[str, Path] = {}
    for text in maps:
        name, equals, file = text.partition("=")
        if not equals or name not in names:
            if len(names) > 1:
                raise OptionError(f"{text}: say which collection it shows: NAME={text}")
            name, file = names[0], text
        if name in found:
            raise OptionError(f"{found[name]} and {file} would both be the map of {name!r}; give one")
        found[name] = Path(file).absolute()
        served_head(found[name], search="", collection="", images="")
    return found


async def show_map(service: Service, request: Request) -> Response:
    """Show the map of a collection."""
    only(request)
    served = service.catalogue.newest(request.path_params.get("name"))
    path = service.maps.get(served.name)
    if path is None:
        raise Refused(404, f"this server has no map of {served.name}; whoever runs it can give it one")
    head, read, policy = await service.scheduler.run(
        lambda: served_head(
            path,
            search=f"{service.settings.prefix}/v1/search",
            collection=served.name,
            images=images_address(served, service.settings),
        )
    )
    headers = {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    }
    return StreamingResponse(_parts(path, head, read), media_type="text/html", headers=headers)


def map_address(served: Served, service: Service) -> str | None:
    """Return the address of a collection's map; None where the server has none."""
    if served.name not in service.maps:
        return None
    return f"{service.settings.prefix}/v1/collections/{quote(served.name, safe='')}/map"


def _parts(path: Path, head: bytes, read: int) -> Iterator[bytes]:
    """Yield the file with another beginning."""
    with path.open("rb") as file:
        file.seek(read)
        yield head
        while chunk := file.read(_CHUNK):
            yield chunk
