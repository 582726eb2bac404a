"""A stream of images becomes vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.embedding.image_stream import Embedded, cores, embed

__all__ = ["Embedded", "cores", "embed"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(__name__, {"image_stream": ("Embedded", "cores", "embed")})
