"""Films, documents and raw photographs become pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.media.films import EVERY, Every, Moment, moments, picture_at
    from retrieval.sources.media.inputs import open_regular
    from retrieval.sources.media.parts import (
        DOCUMENT_SUFFIXES,
        FILM_SUFFIXES,
        MediaOptions,
        clock,
        page_of,
        part_content,
        part_example,
        same_content,
        seconds_of,
        split_key,
        split_path,
    )
    from retrieval.sources.media.pdf_pages import Page, page_at, pages
    from retrieval.sources.media.pictures import all_parts, decode_path, part_bytes, read_path, require_reader

__all__ = [
    "DOCUMENT_SUFFIXES",
    "EVERY",
    "FILM_SUFFIXES",
    "Every",
    "MediaOptions",
    "Moment",
    "Page",
    "all_parts",
    "clock",
    "decode_path",
    "moments",
    "open_regular",
    "page_at",
    "page_of",
    "pages",
    "part_bytes",
    "part_content",
    "part_example",
    "picture_at",
    "read_path",
    "require_reader",
    "same_content",
    "seconds_of",
    "split_key",
    "split_path",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "films": ("EVERY", "Every", "Moment", "moments", "picture_at"),
            "inputs": ("open_regular",),
            "parts": (
                "DOCUMENT_SUFFIXES",
                "FILM_SUFFIXES",
                "MediaOptions",
                "clock",
                "page_of",
                "part_content",
                "part_example",
                "same_content",
                "seconds_of",
                "split_key",
                "split_path",
            ),
            "pdf_pages": ("Page", "page_at", "pages"),
            "pictures": ("all_parts", "decode_path", "part_bytes", "read_path", "require_reader"),
        },
    )
