"""Recognise image formats by their first bytes; keep Pillow quiet."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from indexes import forks

if TYPE_CHECKING:
    from collections.abc import Iterator


def plugin_for(data: bytes) -> tuple[str, str] | None:
    """Return the module and the constructor that read such bytes, going by their signature alone."""
    if data.startswith(b"\xff\xd8\xff"):
        return "PIL.JpegImagePlugin", "jpeg_factory"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PIL.PngImagePlugin", "PngImageFile"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "PIL.WebPImagePlugin", "WebPImageFile"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "PIL.GifImagePlugin", "GifImageFile"
    if data.startswith(b"BM"):
        return "PIL.BmpImagePlugin", "BmpImageFile"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "PIL.TiffImagePlugin", "TiffImageFile"
    if data[4:8] == b"ftyp":
        # ISO/IEC 14496-12: the box's length, then the major brand, a version, and the compatible brands.
        brands = data[8 : int.from_bytes(data[:4], "big")][:256]
        if b"avif" in brands or b"avis" in brands:
            return "PIL.AvifImagePlugin", "AvifImageFile"
        if any(
            brand in brands
            for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
        ):
            return "pi_heif", "HeifImageFile"
    return None


def looks_cut(data: bytes) -> bool:
    """Say whether a file that failed to decode lacks the end that its format prescribes."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-64:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith((b"II*\0", b"MM\0*")):
        return int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big") >= len(data)
    return data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)


# A filter of the module `warnings`: action, message, category, module, line.
_QUIET = ("ignore", None, Warning, re.compile(r"(PIL|pi_heif)\b"), 0)
_quiet_lock = forks.Lock()
_quiet_depth = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings of Pillow's own modules while an image is decoded; they name no file, and the caller gets a reason.

    Not `warnings.catch_warnings`, which puts back the filters of whoever came first and so fails among threads.
    """
    global _quiet_depth  # noqa: PLW0603 -- how many threads are decoding
    with _quiet_lock:
        _quiet_depth += 1
        filters = cast("list[Any]", warnings.filters)
        if filters[:1] != [_QUIET]:
            filters.insert(0, _QUIET)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                filters = cast("list[Any]", warnings.filters)
                filters[:] = [other for other in filters if other != _QUIET]
