"""Read the pictures of a film or document: all that a build takes, or one by its name."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from retrieval.sources.decoding import MAX_PIXELS
from retrieval.sources.media.film_reading import require_av
from retrieval.sources.media.films import moments, picture_at
from retrieval.sources.media.parts import page_of, part_of_page, part_of_time, seconds_of
from retrieval.sources.media.pdf_pages import page_at, pages, require_pdfium

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from PIL import Image

    from retrieval.sources.media.inputs import MediaSource
    from retrieval.sources.media.parts import MediaOptions

__all__ = ["all_parts", "part_bytes", "require_reader"]


def all_parts(
    file: MediaSource,
    key: bytes,
    options: MediaOptions,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | os.PathLike[str],
) -> Iterator[tuple[str, Image.Image]]:
    """Yield the pictures that a build takes of a film or document, each with the part of its key that names it.

    Raises:
        ImageError: as `moments` and `pages` do, behind the last picture too.
    """
    if options.is_film(key):
        assert options.every is not None  # noqa: S101 -- for the type checker
        for moment in moments(file, every=options.every, max_pixels=max_pixels, name=name):
            yield part_of_time(moment.seconds), moment.picture
    else:
        for page in pages(file, name=name):
            yield part_of_page(page.number), page.picture


def part_bytes(
    file: MediaSource, part: str, *, max_pixels: int = MAX_PIXELS, name: str | os.PathLike[str]
) -> bytes:
    """Return one picture of a film or document as the bytes of an image file without loss.

    Raises:
        ImageError: as `picture_at` and `page_at` do.
    """
    seconds, number = seconds_of(part), page_of(part)
    if seconds is not None:
        picture = picture_at(file, seconds, max_pixels=max_pixels, name=name)
    else:
        picture = page_at(file, number or 0, name=name)
    out = io.BytesIO()
    picture.save(out, "BMP")
    return out.getvalue()


def require_reader(key: bytes, options: MediaOptions, *, name: str | os.PathLike[str]) -> None:
    """Raise the error for a film or document whose extra is missing.

    Raises:
        ImageError: ``needs-video`` or ``needs-pdf``.
    """
    if options.is_film(key):
        require_av(name)
    else:
        require_pdfium(name)
