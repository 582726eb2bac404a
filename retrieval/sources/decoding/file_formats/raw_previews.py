"""Find the preview that a camera stores in its raw photographs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, JpegImagePlugin

from indexes.distribution import pip_install
from retrieval.sources.decoding import BROKEN, broken, image_error

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from retrieval.errors import ImageError
    from retrieval.sources.decoding.file_formats.tiff_pages import Page

_SIGNATURES = (
    b"FUJIFILMCCD-RAW",
    b"FOVb",
    b"\0MRM",
    b"IIU\0",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"II\x1a\0\0\0HEAPCCDR",
)
_SENSOR = frozenset({32803, 34892})  # DNG, PhotometricInterpretation: colour filter array, linear raw
_TURNED = {3: 3, 5: 8, 6: 6}  # libraw's flip -> orientation as EXIF has it
_ORIENTATION = 0x0112


def has_raw_signature(data: bytes) -> bool:
    """Say by its first bytes whether a file is a raw photograph; those that begin as TIFF files do tell by their pages."""
    if data.startswith((b"II*\0", b"MM\0*")):
        return data[8:10] == b"CR"
    return data.startswith(_SIGNATURES) or (data[4:8] == b"ftyp" and data[8:12] == b"crx ")


def holds_sensor_data(pages: Iterable[Page]) -> bool:
    """Say whether a TIFF file is a raw photograph: one of its pages is what the sensor saw."""
    return any(page.colours in _SENSOR for page in pages)


def preview(data: bytes, *, name: str | os.PathLike[str]) -> bytes:
    """Return the largest preview in a raw photograph as the bytes of a JPEG or PNG file, which state its orientation.

    Raises:
        ImageError: ``needs-raw`` (the extra is missing), ``unsupported`` (it holds no preview, or the camera is unknown),
            ``truncated`` or ``unreadable``.
    """
    try:
        import rawpy
    except ImportError as error:
        raise image_error("needs-raw", name, f"is a raw photograph; {pip_install('raw')} reads it") from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            turned = _TURNED.get(raw.sizes.flip, 1)
            thumbnail = raw.extract_thumb()
            jpeg = thumbnail.format == rawpy.ThumbFormat.JPEG
            if not jpeg and thumbnail.format != rawpy.ThumbFormat.BITMAP:
                raise image_error("unsupported", name, "holds a preview of a kind that is not read")
            # The array is a view of memory that libraw gives up.
            found: Any = bytes(thumbnail.data) if jpeg else np.array(thumbnail.data)
    except rawpy.LibRawError as error:
        raise _error(error, name) from error
    except BROKEN as error:
        raise broken(error, b"", name) from error
    return _with_orientation(found, turned) if jpeg else _png(found, turned)


def _error(error: Exception, name: str | os.PathLike[str]) -> ImageError:
    """Return the error for a raw photograph that libraw does not read."""
    import rawpy

    words = (
        error.args[0].decode(errors="replace")
        if error.args and isinstance(error.args[0], bytes)
        else str(error)
    )
    if isinstance(error, rawpy.LibRawNoThumbnailError | rawpy.LibRawUnsupportedThumbnailError):
        return image_error("unsupported", name, "holds no preview that is read; develop it to a JPEG")
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        return image_error("unsupported", name, "is no raw photograph of a camera that is known")
    if isinstance(error, rawpy.LibRawUnsufficientMemoryError):
        return image_error("out-of-memory", name, f"does not fit in memory now ({words})")
    if isinstance(error, rawpy.LibRawIOError):
        return image_error("truncated", name, f"is cut short ({words})")
    return image_error("unreadable", name, f"is broken ({words})")


def _with_orientation(data: bytes, turned: int) -> bytes:
    """Return a JPEG that states the orientation of its photograph; its own word counts, if it has one."""
    if turned == 1 or not data.startswith(b"\xff\xd8"):
        return data
    try:
        stated = JpegImagePlugin.JpegImageFile(io.BytesIO(data)).getexif().get(_ORIENTATION)
    except BROKEN:
        return data
    if stated is not None:
        return data
    segment = _exif(turned).tobytes()
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


def _png(pixels: Any, turned: int) -> bytes:
    """Return a preview of plain pixels ``(h, w, 3)`` uint8 as a PNG that states its orientation."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1, exif=_exif(turned))
    return out.getvalue()


def _exif(turned: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION] = turned
    return exif
