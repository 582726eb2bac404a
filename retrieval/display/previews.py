"""Make thumbnails that stand inside a page: small JPEG images as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from PIL import Image

from indexes.engine import ThreadPool, allowed_cores
from retrieval.errors import ImageError
from retrieval.sources.decoding import MAX_PIXELS, decode
from retrieval.sources.media import decode_path

if TYPE_CHECKING:
    from retrieval.sources.decoding import ImageSource

SIZE: Final = (680, 400)
"""Pixels; shown about half as large, so that they are sharp on dense displays."""

_QUALITY = 82
_SMALLER = (
    (1.0, _QUALITY),
    (0.7, 75),
    (0.45, 70),
    (0.3, 60),
    (0.15, 50),
)  # shares of the size, and qualities
_THREADS = 8

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small JPEG as a data URI with its shape, or the word for why there is none."""

    uri: str = ""
    width: int = 4
    height: int = 3
    fault: str = ""


def thumbnail(source: ImageSource, *, size: tuple[int, int] = SIZE, most: int | None = None) -> Thumbnail:
    """Make a thumbnail of whatever `retrieval.sources.decoding.decoder.decode` reads; never larger than the image.

    A path may name a picture of a film or document, such as ``clip.mp4#t=12.4``.

    Args:
        source: the image; or what reads its bytes, with a method `read` and none called `seek`.
        size: pixels that it fits in.
        most: characters that the data URI may take; a smaller and coarser one is made to fit.
    """
    try:
        if hasattr(source, "read") and not hasattr(source, "seek"):
            source = source.read()
        if isinstance(source, str):
            image = decode_path(source, decode_size=min(size))
        else:
            image = decode(source, decode_size=min(size))
    except ImageError as error:
        return Thumbnail(fault=error.reason)
    for share, quality in _SMALLER:
        data = _shrunk(image, (max(1, int(size[0] * share)), max(1, int(size[1] * share))), quality)
        uri = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
        if most is None or len(uri) <= most:
            return Thumbnail(uri=uri, width=image.width, height=image.height)
    return Thumbnail(fault="too-large")


def small_jpeg(data: bytes, *, size: tuple[int, int], max_pixels: int = MAX_PIXELS) -> tuple[bytes, int, int]:
    """Make a thumbnail of the bytes of an image file, upright and never larger than the image.

    Args:
        data: of the file.
        size: pixels that it fits in.
        max_pixels: as `retrieval.sources.decoding.decoder.decode` has it.
    Returns:
        the bytes of a JPEG file, its width and its height.
    Raises:
        ImageError: it cannot be read.
    """
    image = decode(data, decode_size=min(size), max_pixels=max_pixels)
    return _shrunk(image, size, _QUALITY), image.width, image.height


def _shrunk(image: Image.Image, size: tuple[int, int], quality: int) -> bytes:
    """Make a picture fit into a size, and return it as a JPEG."""
    image.thumbnail(size, Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality, optimize=True, progressive=True)
    return data.getvalue()


def thumbnails(
    sources: Iterable[K], *, size: tuple[int, int] = SIZE, most: int | None = None
) -> dict[K, Thumbnail]:
    """Make the thumbnails of several images by threads; takes what `thumbnail` takes."""
    wanted = list(dict.fromkeys(sources))
    with ThreadPool(max_workers=min(_THREADS, allowed_cores())) as pool:
        made = pool.map(partial(thumbnail, size=size, most=most), wanted)
        return dict(zip(wanted, made, strict=True))
