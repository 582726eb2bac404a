"""Give several images at once: their paths as a list, or the files in an archive that is made while it is sent."""

from __future__ import annotations

import io
import os
import time
import zipfile
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from retrieval.display import escape
from retrieval.errors import ImageError, MissingRow
from retrieval.server.api.images.images import require_originals
from retrieval.server.api.images.pictures import original_bytes, picture_row
from retrieval.server.api.requests import DownloadRequest, Refused, read_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from retrieval.collection import Row
    from retrieval.server import Served
    from retrieval.server.api import Service

_LONGEST: Final = 200
_FAILED: Final = "not-included.txt"


async def download(service: Service, request: Request) -> Response:
    """Give the paths of images, or their files."""
    asked = await read_json(request, DownloadRequest)
    most = service.settings.limits.ids
    if len(asked.ids) > most:
        raise Refused(400, f"ids has {len(asked.ids):,} entries; at most {most:,} are given at a time")
    if asked.what == "zip":
        require_originals(service)
    served = service.catalogue.newest(request.path_params.get("name"))
    ids = list(dict.fromkeys(asked.ids))
    with served:
        rows = await service.scheduler.run(lambda: [picture_row(served, number) for number in ids])
    name = f"{served.name}-{len(rows)}"
    if asked.what == "list":
        text = "".join(f"{escape(row.key)}\n" for row in rows)
        headers = {"Content-Disposition": f'attachment; filename="{_plain(name)}.txt"'}
        return Response(text, headers=headers, media_type="text/plain; charset=utf-8")
    headers = {"Content-Disposition": f'attachment; filename="{_plain(name)}.zip"'}
    return StreamingResponse(_archive(service, served, rows), headers=headers, media_type="application/zip")


async def _archive(service: Service, served: Served, rows: Sequence[Row]) -> AsyncIterator[bytes]:
    """Yield an archive of the files of rows, piece by piece; one that cannot be read is named in a list at its end."""
    sink = _Sink()
    used: set[str] = set()
    failed: list[str] = []
    with served, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # images are compressed already
        for row in rows:
            try:
                data = await service.scheduler.run(original_bytes, served, row)
            except (ImageError, MissingRow) as error:
                failed.append(f"{escape(row.key)}\t{escape(getattr(error, 'reason', 'vanished'))}\n")
                continue
            archive.writestr(zipfile.ZipInfo(_entry(row, used), time.localtime()[:6]), data)
            yield sink.taken()
        if failed:
            archive.writestr(_FAILED, "".join(failed))
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Takes what an archive writes; it cannot be sought, so the archive needs no way back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        found, self._parts = b"".join(self._parts), []
        return found


def _entry(row: Row, used: set[str]) -> str:
    """Return a name within the archive that leads nowhere else, and that no other file has."""
    whole = os.fsencode(row.key).decode("utf-8", "replace")
    parts = [
        part for part in whole.replace("\\", "/").replace("\0", "_").split("/") if part not in ("", ".", "..")
    ]
    name = "/".join(escape(part).replace(":", "_")[-_LONGEST:] for part in parts) or "image"
    stem, dot, suffix = name.rpartition(".")
    free, number = name, 2
    while free.casefold() in used or free == _FAILED:
        free = f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
        number += 1
    used.add(free.casefold())
    return free


def _plain(name: str) -> str:
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name
    )
