"""Films, documents and raw photographs become pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.media.films import EVERY, Every, Moment, moments, picture_at
    from retrieval.sources.media.pdf_pages import Page, page_at, pages

__all__ = ["EVERY", "Every", "Moment", "Page", "moments", "page_at", "pages", "picture_at"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "films": ("EVERY", "Every", "Moment", "moments", "picture_at"),
            "pdf_pages": ("Page", "page_at", "pages"),
        },
    )
