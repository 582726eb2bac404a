"""Read what an image's file says of it besides its pixels: size, time, camera and place."""

from __future__ import annotations

import io
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from retrieval.columns.types import INTEGER, NUMBER, TEXT, TIME
from retrieval.sources import keys

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.columns.packing import Value
    from retrieval.sources import Entry, Source

HEADERS: Final = 1
"""Which columns are read: the number grows with the list in `header_columns`."""

HEADER_TYPES: Final = {
    "bytes": INTEGER,
    "width": INTEGER,
    "height": INTEGER,
    "taken": TIME,
    "camera": TEXT,
    "latitude": NUMBER,
    "longitude": NUMBER,
}
"""Their types: a condition may name them though no image of the collection says so."""

_ORIENTATION = 0x0112
_EXIF, _GPS = 0x8769, 0x8825
_MAKE, _MODEL = 0x010F, 0x0110
_ORIGINAL, _DIGITISED = 0x9003, 0x9004
_SOUTH, _LATITUDE, _WEST, _LONGITUDE = 1, 2, 3, 4
_LONGEST_CAMERA = 100
_HEAD: Final = 1 << 18
"""Bytes at the start of a file that nearly always hold all that is read of it."""

_SIDEWAYS = 5  # orientations from here on swap width and height


def header_columns(data: bytes) -> dict[str, Value]:
    """Return ``bytes``, ``width``, ``height``, ``taken``, ``camera``, ``latitude`` and ``longitude`` of an image's file.

    No pixels are decoded. Width and height are those of the upright image. ``taken`` is when the picture was taken or else
    digitised, by the camera's own clock, as ISO 8601. Latitude and longitude are degrees, north and east positive. What the
    file does not say, or says so that nobody can read it, is left out; of a file that is no image only ``bytes`` is known.

    Args:
        data: the whole file.
    """
    from retrieval.errors import ImageError
    from retrieval.sources.decoding import BROKEN, quiet

    found: dict[str, Value] = {"bytes": len(data)}
    with quiet():
        try:
            (width, height), exif, turned = _opened(data)
        except (ImageError, *BROKEN):
            return found
        if isinstance(turned, int) and _SIDEWAYS <= turned <= _SIDEWAYS + 3:
            width, height = height, width
        found |= {"width": int(width), "height": int(height)}
        for name, read in (
            ("taken", _taken),
            ("camera", _camera),
            ("latitude", _latitude),
            ("longitude", _longitude),
        ):
            try:
                value = read(exif)
            except BROKEN:
                continue
            if value is not None:
                found[name] = value
    if not {"latitude", "longitude"} <= found.keys():  # half a place is none
        found.pop("latitude", None)
        found.pop("longitude", None)
    return found


def read_header(source: Source, entry: Entry) -> dict[str, Value]:
    """Return `header_columns` of an entry that is not read otherwise: from the first bytes of its file, where they suffice.

    Raises:
        ImageError: it cannot be read.
    """
    read_head = getattr(source, "read_head", None)
    if read_head is not None:
        data = read_head(entry, _HEAD)
        found = header_columns(data)
        if "width" in found or len(data) < _HEAD:
            return found | {"bytes": max(len(data), keys.size_of(entry.stamp))}
    return header_columns(source.read(entry))


def _opened(data: bytes) -> tuple[tuple[int, int], Image.Exif, Any]:
    """Return size, EXIF and orientation of an image's file; raises what its decoder does."""
    from PIL import JpegImagePlugin

    from retrieval.sources.decoding import open_file, plugin_for

    plugin = plugin_for(data)
    if plugin is not None and plugin[1] == "jpeg_factory":  # `open_file` would look through all of its scans
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data), "")
        exif = image.getexif()
        return image.size, exif, exif.get(_ORIENTATION)
    opened = open_file(data, name="image")
    exif = _exif(opened.tags)
    if opened.page is not None:  # of a TIFF file; Pillow turns its size already
        return (opened.page.width, opened.page.height), exif, opened.page.orientation
    return opened.size, exif, exif.get(_ORIENTATION)


def _exif(image: Image.Image | None) -> Image.Exif:
    from PIL import Image

    if image is None:
        return Image.Exif()
    if image.format == "PNG":  # its own method would decode the picture to look behind it
        return Image.Image.getexif(image)
    return image.getexif()


def _taken(exif: Image.Exif) -> str | None:
    inner = exif.get_ifd(_EXIF)
    for tag in (_ORIGINAL, _DIGITISED):
        text = _text(inner.get(tag))
        try:
            return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007 - the camera's own clock
        except ValueError:
            continue
    return None


def _camera(exif: Image.Exif) -> str | None:
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    if not model:
        return make or None
    first = make.split()[0].lower() if make else ""
    named = model if model.lower().startswith(first) else f"{make} {model}"
    return named[:_LONGEST_CAMERA]


def _latitude(exif: Image.Exif) -> float | None:
    return _degrees(exif, _LATITUDE, _SOUTH, "S", 90)


def _longitude(exif: Image.Exif) -> float | None:
    return _degrees(exif, _LONGITUDE, _WEST, "W", 180)


def _degrees(exif: Image.Exif, tag: int, side: int, negative: str, most: int) -> float | None:
    place = exif.get_ifd(_GPS)
    given = place.get(tag)
    if not isinstance(given, tuple) or len(given) != 3:
        return None
    degrees, minutes, seconds = (float(part) for part in given)
    value = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(value) or not 0 <= value <= most:
        return None
    sign = -1 if _text(place.get(side)).upper().startswith(negative) else 1
    return round(sign * value, 7)


def _text(value: Any) -> str:
    """Return a text of EXIF on one line, without the NULs that end it; empty for what is no text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return " ".join("".join(char if char.isprintable() else " " for char in value.partition("\0")[0]).split())
