"""Pages of images that the rooms of curation share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.pages.picture_page import Pictures, write_picture_page

__all__ = ["Pictures", "write_picture_page"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(__name__, {"picture_page": ("Pictures", "write_picture_page")})
