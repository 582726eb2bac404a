"""Read the pictures of a film or document: all that a build takes, or one by its name."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from retrieval.sources.decoding import MAX_PIXELS, decode, read_file
from retrieval.sources.media.film_reading import require_av
from retrieval.sources.media.films import moments, picture_at
from retrieval.sources.media.parts import page_of, part_of_page, part_of_time, seconds_of, split_path
from retrieval.sources.media.pdf_pages import page_at, pages, require_pdfium

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from PIL import Image

    from retrieval.sources.media.inputs import MediaSource
    from retrieval.sources.media.parts import MediaOptions


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


def part_picture(
    file: MediaSource, part: str, *, max_pixels: int = MAX_PIXELS, name: str | os.PathLike[str]
) -> Image.Image:
    """Return one picture of a film or document, upright RGB.

    Raises:
        ImageError: as `picture_at` and `page_at` do.
    """
    seconds, number = seconds_of(part), page_of(part)
    if seconds is not None:
        return picture_at(file, seconds, max_pixels=max_pixels, name=name)
    return page_at(file, number or 0, name=name)


def part_bytes(
    file: MediaSource, part: str, *, max_pixels: int = MAX_PIXELS, name: str | os.PathLike[str]
) -> bytes:
    """Return one picture of a film or document as the bytes of an image file without loss; raises as `part_picture`."""
    out = io.BytesIO()
    part_picture(file, part, max_pixels=max_pixels, name=name).save(out, "BMP")
    return out.getvalue()


def decode_path(path: str, *, decode_size: int | None = None) -> Image.Image:
    """Return the picture that a path names, upright RGB: an image file, or one picture of a film or document.

    Args:
        path: such as ``photo.jpg``, ``clip.mp4#t=12.4`` or ``paper.pdf#page=3``.
        decode_size: as `retrieval.sources.decoding.decoder.decode` has it.
    Raises:
        ImageError: it is not there, or cannot be read.
    """
    found = split_path(path)
    if found is None:
        return decode(path, decode_size=decode_size)
    return part_picture(found[0], found[1], name=path)


def read_path(path: str) -> bytes:
    """Return the bytes of the image that a path names: of a file, or of one picture of a film or document.

    Raises:
        ImageError: it is not there, or cannot be read.
    """
    found = split_path(path)
    return read_file(path) if found is None else part_bytes(found[0], found[1], name=path)


def require_reader(key: bytes, options: MediaOptions, *, name: str | os.PathLike[str]) -> None:
    """Raise the error for a film or document whose extra is missing.

    Raises:
        ImageError: ``needs-video`` or ``needs-pdf``.
    """
    if options.is_film(key):
        require_av(name)
    else:
        require_pdfium(name)
